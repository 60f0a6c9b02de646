//! PostgreSQL: `initdb` and `postgres`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use nix::sys::signal::Signal;

use super::home::Home;
use super::server::{CERTIFICATE, CLIENT_AUTHORITIES, KEY, Product, block_on, complete};
use super::server_url::ServerUrl;

pub(crate) struct Postgres;

impl Product for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn variable(&self) -> &'static str {
        "REGISTRY_TEST_POSTGRES_URL"
    }

    fn package(&self) -> &'static str {
        "postgresql"
    }

    fn default_port(&self) -> u16 {
        5432
    }

    fn programs(&self) -> &'static [&'static str] {
        &["initdb", "postgres"]
    }

    fn accounts(&self) -> &'static [&'static str] {
        &["postgres", "nobody"]
    }

    fn signals(&self) -> (Signal, Signal) {
        // "Fast" and "immediate" shutdown. SIGKILL would leak the shared memory.
        (Signal::SIGINT, Signal::SIGQUIT)
    }

    fn url(&self, port: u16) -> ServerUrl {
        ServerUrl {
            scheme: "postgres".to_owned(),
            user: "admin".to_owned(),
            password: "sesame".to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            database: "postgres".to_owned(),
            query: String::new(),
        }
    }

    fn initialise(&self, home: &Home, program: &dyn Fn(&str) -> PathBuf, url: &ServerUrl) {
        let password = home.path().join("password");
        std::fs::write(&password, &url.password).expect("a file for the password");
        let mut initdb = home.command(&program("initdb"));
        initdb
            .args(["--pgdata=data", "--pwfile=password", "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--username={}", url.user));
        complete(initdb);
    }

    fn arguments(&self, home: &Path, url: &ServerUrl) -> Vec<String> {
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", url.port),
            format!("unix_socket_directories={}", home.display()),
            "max_connections=200".to_owned(),
            // Test data need not survive a power failure.
            "fsync=off".to_owned(),
            "synchronous_commit=off".to_owned(),
            "full_page_writes=off".to_owned(),
        ];
        if home.join(CERTIFICATE).exists() {
            settings.extend([
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", home.join(CERTIFICATE).display()),
                format!("ssl_key_file={}", home.join(KEY).display()),
            ]);
            if home.join(CLIENT_AUTHORITIES).exists() {
                settings.push(format!("ssl_ca_file={}", home.join(CLIENT_AUTHORITIES).display()));
            }
        }
        let mut arguments = vec!["-D".to_owned(), "data".to_owned()];
        for setting in settings {
            arguments.extend(["-c".to_owned(), setting]);
        }
        arguments
    }

    fn execute(&self, url: &str, sql: &str) -> Result<(), String> {
        block_on(async {
            let run = async {
                let mut connection =
                    AsyncPgConnection::establish(url).await.map_err(|error| error.to_string())?;
                connection.batch_execute(sql).await.map_err(|error| error.to_string())
            };
            tokio::time::timeout(Duration::from_secs(20), run)
                .await
                .unwrap_or_else(|_| Err("no answer within 20 s".to_owned()))
        })
    }

    fn client(&self, url: &ServerUrl) -> Command {
        let mut psql = Command::new("psql");
        psql.env("PGHOST", &url.host)
            .env("PGPORT", url.port.to_string())
            .env("PGUSER", &url.user)
            .env("PGPASSWORD", &url.password)
            .env("PGDATABASE", &url.database)
            .args(["--no-psqlrc", "--command"]);
        psql
    }

    fn create_database(&self, name: &str) -> String {
        // A template with open connections cannot be copied, and template0 accepts none.
        format!("CREATE DATABASE {name} TEMPLATE template0")
    }
}
