//! A PostgreSQL server whose messages are in German.
//!
//! The translations come with the packages of the server, but only a German locale selects them. The locale is
//! compiled into the folder of the server, so that the machine itself stays unchanged.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use super::home::Home;
use super::postgres::Postgres;
use super::programs;
use super::server::{Product, complete};
use super::server_url::ServerUrl;

const LOCALE: &str = "de_DE.UTF-8";

pub(crate) struct GermanPostgres;

impl Product for GermanPostgres {
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
        let localedef = programs::find("localedef").unwrap_or_else(|| {
            panic!("this test needs `localedef`, and the locale de_DE: `apt-get install locales`")
        });
        let mut mkdir = home.command(Path::new("/bin/mkdir"));
        mkdir.arg("locale");
        complete(mkdir);
        let mut compile = home.command(&localedef);
        compile.args(["-i", "de_DE", "-f", "UTF-8"]).arg(format!("locale/{LOCALE}"));
        complete(compile);
    }

    fn arguments(&self, home: &Path, url: &ServerUrl) -> Vec<String> {
        let mut arguments = Postgres.arguments(home, url);
        arguments.extend(["-c".to_owned(), format!("lc_messages={LOCALE}")]);
        arguments
    }

    fn environment(&self, home: &Path) -> Vec<(&'static str, PathBuf)> {
        vec![("LOCPATH", home.join("locale"))]
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
