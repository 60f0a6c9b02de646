//! The page about the databases.
