//! MariaDB: `mariadb-install-db` and `mariadbd`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use diesel_async::{AsyncConnection, AsyncMysqlConnection, SimpleAsyncConnection};
use nix::sys::signal::Signal;

use super::home::Home;
use super::server::{CERTIFICATE, CLIENT_AUTHORITIES, KEY, Product, block_on, complete};
use super::server_url::ServerUrl;

pub(crate) struct Mariadb;

impl Product for Mariadb {
    fn name(&self) -> &'static str {
        "MariaDB"
    }

    fn variable(&self) -> &'static str {
        "REGISTRY_TEST_MYSQL_URL"
    }

    fn package(&self) -> &'static str {
        "mariadb-server"
    }

    fn default_port(&self) -> u16 {
        3306
    }

    fn programs(&self) -> &'static [&'static str] {
        &["mariadb-install-db", "mariadbd"]
    }

    fn accounts(&self) -> &'static [&'static str] {
        &["mysql", "nobody"]
    }

    fn signals(&self) -> (Signal, Signal) {
        (Signal::SIGTERM, Signal::SIGKILL)
    }

    fn url(&self, port: u16) -> ServerUrl {
        ServerUrl {
            scheme: "mysql".to_owned(),
            user: "admin".to_owned(),
            password: "sesame".to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            database: "main".to_owned(),
            query: String::new(),
        }
    }

    fn initialise(&self, home: &Home, program: &dyn Fn(&str) -> PathBuf, url: &ServerUrl) {
        let mut install = home.command(&program("mariadb-install-db"));
        install
            // At its start, a server removes all temporary tables in its folder, including those of other servers.
            .env("TMPDIR", home.path())
            .arg("--no-defaults")
            .arg(format!("--datadir={}", home.path().join("data").display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        complete(install);
        // Runs at every start. The pre-installed accounts have no password, and the anonymous ones would take
        // precedence over ours.
        let ServerUrl { user, password, database, .. } = url;
        let mut statements = vec![
            "DELETE FROM mysql.global_priv WHERE User IN ('', 'root')".to_owned(),
            "FLUSH PRIVILEGES".to_owned(),
            format!("CREATE DATABASE IF NOT EXISTS {database}"),
        ];
        for host in ["127.0.0.1", "localhost"] {
            statements.extend([
                format!("CREATE USER IF NOT EXISTS '{user}'@'{host}' IDENTIFIED BY '{password}'"),
                format!("GRANT ALL ON *.* TO '{user}'@'{host}' WITH GRANT OPTION"),
            ]);
        }
        std::fs::write(home.path().join("init.sql"), statements.join(";\n") + ";\n")
            .expect("a file for the accounts");
    }

    fn arguments(&self, home: &Path, url: &ServerUrl) -> Vec<String> {
        let in_home =
            |option: &str, name: &str| format!("--{option}={}", home.join(name).display());
        let tls = if home.join(CERTIFICATE).exists() {
            let mut tls = vec![in_home("ssl-cert", CERTIFICATE), in_home("ssl-key", KEY)];
            if home.join(CLIENT_AUTHORITIES).exists() {
                tls.push(in_home("ssl-ca", CLIENT_AUTHORITIES));
            }
            tls
        } else {
            // Since 11.4, MariaDB generates a certificate where none is configured.
            vec!["--skip-ssl".to_owned()]
        };
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            in_home("datadir", "data"),
            in_home("socket", "mysql.sock"),
            in_home("pid-file", "mariadbd.pid"),
            in_home("init-file", "init.sql"),
            in_home("tmpdir", ""),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--port={}", url.port),
            "--skip-name-resolve".to_owned(),
            "--max-connections=200".to_owned(),
            // Test data need not survive a power failure, so the log is not flushed at each commit.
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
            "--innodb-doublewrite=0".to_owned(),
            "--innodb-fast-shutdown=2".to_owned(),
        ];
        arguments.extend(tls);
        arguments
    }

    fn execute(&self, url: &str, sql: &str) -> Result<(), String> {
        block_on(async {
            let run = async {
                let mut connection = AsyncMysqlConnection::establish(url)
                    .await
                    .map_err(|error| error.to_string())?;
                connection.batch_execute(sql).await.map_err(|error| error.to_string())
            };
            tokio::time::timeout(Duration::from_secs(20), run)
                .await
                .unwrap_or_else(|_| Err("no answer within 20 s".to_owned()))
        })
    }

    fn client(&self, url: &ServerUrl) -> Command {
        let mut client = Command::new("mariadb");
        client
            .env("MYSQL_PWD", &url.password)
            .args(["--no-defaults", "--protocol=tcp"])
            .arg(format!("--host={}", url.host))
            .arg(format!("--port={}", url.port))
            .arg(format!("--user={}", url.user))
            .arg("--execute");
        client
    }

    fn create_database(&self, name: &str) -> String {
        format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")
    }
}
