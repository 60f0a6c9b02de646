//! The kinds of queries that diesel-async takes, which are taken here as well: each is run by diesel-async on the
//! connection of a session, and by this crate on that session and on the registry.

#[path = "kinds/everywhere.rs"]
mod everywhere;
#[path = "kinds/postgres.rs"]
mod postgres;
mod support;
