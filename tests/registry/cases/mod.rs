//! Tests that are not the same on every backend.

mod both_servers;
mod connections;
mod diesel_cli;
mod environment;
mod leftovers;
mod mixed;
mod moving;
mod near_misses;
mod passwords;
mod postgres;
mod readme;
mod servers;
mod sqlite;
mod tables;
