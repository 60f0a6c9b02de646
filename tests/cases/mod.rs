//! What is not the same on every backend.

mod both_servers;
mod mixed;
mod sqlite;
