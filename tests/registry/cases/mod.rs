//! Tests that are not the same on every backend.

mod both_servers;
mod environment;
mod leftovers;
mod mixed;
mod moving;
mod passwords;
mod postgres;
mod readme;
mod servers;
mod sqlite;
