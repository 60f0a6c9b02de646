//! MariaDB: replication by GTID.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use nix::sys::signal::Signal;

use super::{APP, Replication, until};
use crate::support::home::Home;
use crate::support::mariadb::Mariadb;
use crate::support::server::{Product, Server, block_on};
use crate::support::server_url::ServerUrl;

/// The file in a server's folder by which it starts as a primary. Other servers start read-only.
const IS_PRIMARY: &str = "is-primary";

pub(super) struct Gtid;

impl Replication for Gtid {
    fn primary(&self) -> Box<dyn Product + Send> {
        Box::new(Member { number: 0 })
    }

    fn replica(&self, _primary: &ServerUrl, number: usize) -> Box<dyn Product + Send> {
        Box::new(Member { number })
    }

    fn create_app(&self, password: &str) -> Vec<String> {
        let privileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES, \
             CREATE TEMPORARY TABLES, CREATE ROUTINE, ALTER ROUTINE, EXECUTE";
        ["127.0.0.1", "localhost"]
            .into_iter()
            .flat_map(|host| {
                [
                    format!("CREATE USER '{APP}'@'{host}' IDENTIFIED BY '{password}'"),
                    format!("GRANT {privileges} ON *.* TO '{APP}'@'{host}'"),
                ]
            })
            .collect()
    }

    fn value(
        &self,
        url: &str,
        query: &str,
        column: Option<&str>,
    ) -> Result<Option<String>, String> {
        let run = async {
            let mut connection = mysql_async::Conn::from_url(url).await?;
            let row = connection.query_first::<mysql_async::Row, _>(query).await;
            connection.disconnect().await?;
            row
        };
        let row = block_on(run).map_err(|error| error.to_string())?;
        let row = row.ok_or_else(|| format!("no row of {query}"))?;
        match column {
            None => row.get::<Option<String>, _>(0),
            Some(column) => row.get::<Option<String>, _>(column),
        }
        .ok_or_else(|| format!("no such column of {query}"))
    }

    fn attach(&self, replica: &Server, primary: &Server) {
        let ServerUrl { user, password, host, port, .. } =
            ServerUrl::parse(&primary.url(), 0).expect("a URL");
        replica.execute("STOP SLAVE");
        replica.execute("SET GLOBAL read_only = 1");
        replica.execute(&format!(
            "CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = {port}, MASTER_USER = '{user}', \
             MASTER_PASSWORD = '{password}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1"
        ));
        replica.execute("START SLAVE");
        until(
            || self.status(replica, "Slave_IO_Running") == "Yes",
            || {
                let error = self.status(replica, "Last_IO_Error");
                format!("port {} does not receive: {error}", replica.port())
            },
        );
    }

    fn position(&self, primary: &Server) -> String {
        self.text(primary, "SELECT @@GLOBAL.gtid_binlog_pos")
    }

    fn has_applied(&self, replica: &Server, position: &str) -> bool {
        self.text(replica, &format!("SELECT MASTER_GTID_WAIT('{position}', 1)")) == "0"
    }

    fn pause(&self, replica: &Server) {
        // It waits for the transaction that is being applied.
        replica.execute("STOP SLAVE SQL_THREAD");
    }

    fn resume(&self, replica: &Server) {
        replica.execute("START SLAVE SQL_THREAD");
    }

    fn delay(&self, replica: &Server, delay: Duration) {
        replica.execute("STOP SLAVE");
        replica.execute(&format!("CHANGE MASTER TO MASTER_DELAY = {}", delay.as_secs()));
        replica.execute("START SLAVE");
    }

    fn detach(&self, replica: &Server) {
        replica.execute("STOP SLAVE IO_THREAD");
    }

    fn acknowledge(&self, primary: &Server, replicas: &[&Server]) {
        // Without a limit in practice: after it, commits would not wait any more.
        primary.execute("SET GLOBAL rpl_semi_sync_master_timeout = 3600000");
        primary.execute("SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'");
        primary.execute("SET GLOBAL rpl_semi_sync_master_enabled = 1");
        for replica in replicas {
            // Replicas say at the begin of their connection that they acknowledge.
            replica.execute("STOP SLAVE IO_THREAD");
            replica.execute("START SLAVE IO_THREAD");
        }
        let query = "SELECT variable_value FROM information_schema.global_status \
             WHERE variable_name = 'RPL_SEMI_SYNC_MASTER_CLIENTS'";
        until(
            || self.text(primary, query) == replicas.len().to_string(),
            || format!("port {} does not wait for its replicas", primary.port()),
        );
    }

    fn received(&self, replica: &Server) -> u128 {
        // There is one domain: `domain-server-number`.
        let position = self.status(replica, "Gtid_IO_Pos");
        position.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    fn promote(&self, replica: &Server) {
        // In this order: if neither thread runs, the start of one discards what was received and not applied.
        replica.execute("START SLAVE SQL_THREAD");
        replica.execute("STOP SLAVE IO_THREAD");
        let received = self.status(replica, "Gtid_IO_Pos");
        until(
            || self.has_applied(replica, &received),
            || format!("port {} does not apply {received}", replica.port()),
        );
        replica.execute("STOP SLAVE");
        replica.execute("RESET SLAVE ALL");
        replica.execute("SET GLOBAL read_only = 0");
        std::fs::write(replica.folder().join(IS_PRIMARY), "").expect("a file of the server's");
    }
}

impl Gtid {
    /// The one value of a query.
    fn text(&self, server: &Server, query: &str) -> String {
        self.column(server, query, None)
    }

    /// A column of the replica's state.
    fn status(&self, replica: &Server, column: &str) -> String {
        self.column(replica, "SHOW SLAVE STATUS", Some(column))
    }

    fn column(&self, server: &Server, query: &str, column: Option<&str>) -> String {
        let value = self.value(&server.url(), query, column);
        value.and_then(|value| value.ok_or_else(|| "NULL".to_owned())).unwrap_or_else(|error| {
            panic!("port {} does not `{query}`: {error}", server.port());
        })
    }
}

/// A server of a cluster. The first primary has the number 0.
struct Member {
    number: usize,
}

impl Product for Member {
    fn name(&self) -> &'static str {
        Mariadb.name()
    }

    fn variable(&self) -> &'static str {
        Mariadb.variable()
    }

    fn package(&self) -> &'static str {
        Mariadb.package()
    }

    fn default_port(&self) -> u16 {
        Mariadb.default_port()
    }

    fn programs(&self) -> &'static [&'static str] {
        Mariadb.programs()
    }

    fn accounts(&self) -> &'static [&'static str] {
        Mariadb.accounts()
    }

    fn signals(&self) -> (Signal, Signal) {
        Mariadb.signals()
    }

    fn url(&self, port: u16) -> ServerUrl {
        Mariadb.url(port)
    }

    fn initialise(&self, home: &Home, program: &dyn Fn(&str) -> PathBuf, url: &ServerUrl) {
        Mariadb.initialise(home, program, url);
        // Each server creates its own accounts. In the log, they would collide with those of the primary.
        let path = home.path().join("init.sql");
        let statements = std::fs::read_to_string(&path).expect("the file for the accounts");
        std::fs::write(&path, format!("SET SESSION sql_log_bin = 0;\n{statements}"))
            .expect("a file of the server's");
        if self.number == 0 {
            home.write(IS_PRIMARY, "");
        }
    }

    fn arguments(&self, home: &Path, url: &ServerUrl) -> Vec<String> {
        let mut arguments = Mariadb.arguments(home, url);
        // A commit is written at once, so that a kill of the server does not lose it, though not synced.
        arguments.retain(|argument| !argument.starts_with("--innodb-flush-log-at-trx-commit="));
        arguments.extend([
            "--innodb-flush-log-at-trx-commit=2".to_owned(),
            "--innodb-buffer-pool-size=32M".to_owned(),
            "--innodb-log-file-size=8M".to_owned(),
            format!("--server-id={}", self.number + 1),
            "--gtid-domain-id=1".to_owned(),
            "--gtid-strict-mode=1".to_owned(),
            "--log-bin=binlog".to_owned(),
            "--log-slave-updates=1".to_owned(),
            "--binlog-format=ROW".to_owned(),
            "--sync-binlog=0".to_owned(),
            "--relay-log=relay".to_owned(),
            // After a kill, what was received and not applied is asked for again.
            "--relay-log-recovery=1".to_owned(),
            "--rpl-semi-sync-slave-enabled=1".to_owned(),
            format!("--read-only={}", i32::from(!home.join(IS_PRIMARY).exists())),
        ]);
        arguments
    }

    fn execute(&self, url: &str, sql: &str) -> Result<(), String> {
        Mariadb.execute(url, sql)
    }

    fn client(&self, url: &ServerUrl) -> Command {
        Mariadb.client(url)
    }

    fn create_database(&self, name: &str) -> String {
        Mariadb.create_database(name)
    }
}
