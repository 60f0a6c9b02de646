//! A PostgreSQL server that lets all subjects connect at once.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::home::Home;
use crate::support::postgres::Postgres;
use crate::support::server::Product;
use crate::support::server_url::ServerUrl;

/// The connections that the server accepts. Eight subjects have 2 for each of 100 binds.
const MAX_CONNECTIONS: u32 = 2_000;

pub(crate) struct ManyClients;

impl Product for ManyClients {
    fn name(&self) -> &'static str {
        Postgres.name()
    }

    fn variable(&self) -> &'static str {
        Postgres.variable()
    }

    fn package(&self) -> &'static str {
        Postgres.package()
    }

    fn default_port(&self) -> u16 {
        Postgres.default_port()
    }

    fn programs(&self) -> &'static [&'static str] {
        Postgres.programs()
    }

    fn accounts(&self) -> &'static [&'static str] {
        Postgres.accounts()
    }

    fn signals(&self) -> (Signal, Signal) {
        Postgres.signals()
    }

    fn url(&self, port: u16) -> ServerUrl {
        Postgres.url(port)
    }

    fn initialise(&self, home: &Home, program: &dyn Fn(&str) -> PathBuf, url: &ServerUrl) {
        Postgres.initialise(home, program, url);
    }

    fn arguments(&self, home: &Path, url: &ServerUrl) -> Vec<String> {
        let mut arguments = Postgres.arguments(home, url);
        for setting in [
            format!("max_connections={MAX_CONNECTIONS}"),
            // It would wake in the middle of a turn, once a minute for each database.
            "autovacuum=off".to_owned(),
        ] {
            arguments.extend(["-c".to_owned(), setting]);
        }
        arguments
    }

    fn execute(&self, url: &str, sql: &str) -> Result<(), String> {
        Postgres.execute(url, sql)
    }

    fn client(&self, url: &ServerUrl) -> Command {
        Postgres.client(url)
    }

    fn create_database(&self, name: &str) -> String {
        Postgres.create_database(name)
    }
}
