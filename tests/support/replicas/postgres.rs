//! PostgreSQL: `pg_basebackup`, and replication as a stream.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{APP, Replication, until};
use crate::support::home::Home;
use crate::support::postgres::Postgres;
use crate::support::server::{Product, Server, block_on, complete};
use crate::support::server_url::ServerUrl;

pub(super) struct Streaming;

impl Replication for Streaming {
    fn primary(&self) -> Box<dyn Product + Send> {
        Box::new(Member { of: None })
    }

    fn replica(&self, primary: &ServerUrl, number: usize) -> Box<dyn Product + Send> {
        Box::new(Member { of: Some((primary.clone(), number)) })
    }

    fn create_app(&self, password: &str) -> Vec<String> {
        vec![
            format!("CREATE ROLE {APP} LOGIN PASSWORD '{password}'"),
            // Without it, the account may not see which timeline a replica receives.
            format!("GRANT pg_read_all_stats TO {APP}"),
        ]
    }

    fn value(
        &self,
        url: &str,
        query: &str,
        column: Option<&str>,
    ) -> Result<Option<String>, String> {
        let run = async {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            client.simple_query(query).await
        };
        let messages = block_on(run).map_err(|error| format!("{error:?}"))?;
        let row = messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = row.ok_or_else(|| format!("no row of {query}"))?;
        let value = column.map_or_else(|| row.get(0), |column| row.get(column));
        Ok(value.map(str::to_owned))
    }

    fn attach(&self, replica: &Server, primary: &Server) {
        let url = ServerUrl::parse(&primary.url(), 0).expect("a URL");
        let name = self.text(replica, "SELECT current_setting('cluster_name')");
        set(replica, "primary_conninfo", &conninfo(&url, &name));
        replica.execute("SELECT pg_wal_replay_resume()");
        let port = format!("port={}", primary.port());
        until(
            || {
                let query =
                    "SELECT coalesce(max(status || ' ' || conninfo), '') FROM pg_stat_wal_receiver";
                let receiver = self.text(replica, query);
                receiver.starts_with("streaming") && receiver.contains(&port)
            },
            || format!("port {} does not receive", replica.port()),
        );
        let position = self.position(primary);
        until(
            || self.has_applied(replica, &position),
            || format!("port {} does not apply {position}", replica.port()),
        );
    }

    fn position(&self, primary: &Server) -> String {
        // Not that of the last insertion: at the begin of a page it is behind the page's header, which is sent only
        // together with the first record of the page.
        self.text(primary, "SELECT pg_current_wal_flush_lsn()::text")
    }

    fn has_applied(&self, replica: &Server, position: &str) -> bool {
        let query = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
        self.text(replica, &query) == "t"
    }

    fn pause(&self, replica: &Server) {
        replica.execute("SELECT pg_wal_replay_pause()");
        // What is being applied at the moment is finished first. Where nothing arrives, the request alone stands.
        until(
            || {
                let query = "SELECT pg_get_wal_replay_pause_state()";
                self.text(replica, query) == "paused"
            },
            || format!("port {} does not pause", replica.port()),
        );
    }

    fn resume(&self, replica: &Server) {
        replica.execute("SELECT pg_wal_replay_resume()");
    }

    fn delay(&self, replica: &Server, delay: Duration) {
        set(replica, "recovery_min_apply_delay", &delay.as_millis().to_string());
    }

    fn detach(&self, replica: &Server) {
        set(replica, "primary_conninfo", "");
        let query = "SELECT count(*) FROM pg_stat_wal_receiver";
        until(
            || self.text(replica, query) == "0",
            || format!("port {} still receives", replica.port()),
        );
    }

    fn acknowledge(&self, primary: &Server, replicas: &[&Server]) {
        set(primary, "synchronous_standby_names", "ANY 1 (*)");
        let count = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'";
        until(
            || self.text(primary, count) == replicas.len().to_string(),
            || format!("port {} does not wait for its replicas", primary.port()),
        );
    }

    fn received(&self, replica: &Server) -> u128 {
        let query = "SELECT coalesce(pg_last_wal_receive_lsn(), '0/0') - '0/0'::pg_lsn";
        self.text(replica, query).parse().expect("a number of bytes")
    }

    fn promote(&self, replica: &Server) {
        replica.execute("SELECT pg_promote(true, 60)");
        until(
            || self.text(replica, "SELECT pg_is_in_recovery()") == "f",
            || format!("port {} is not promoted", replica.port()),
        );
    }
}

impl Streaming {
    /// The one value of a query in the main database.
    fn text(&self, server: &Server, query: &str) -> String {
        let value = self.value(&server.url(), query, None);
        value.and_then(|value| value.ok_or_else(|| "NULL".to_owned())).unwrap_or_else(|error| {
            panic!("port {} does not `{query}`: {error}", server.port());
        })
    }
}

/// Changes a setting of the server for good. Its processes learn of it by a signal, a moment later.
fn set(server: &Server, name: &str, value: &str) {
    let value = value.replace('\'', "''");
    server.execute(&format!("ALTER SYSTEM SET {name} = '{value}'"));
    server.execute("SELECT pg_reload_conf()");
    let query = format!("SELECT setting = '{value}' FROM pg_settings WHERE name = '{name}'");
    until(
        || Streaming.text(server, &query) == "t",
        || format!("port {} does not take {name} = {value}", server.port()),
    );
}

/// How a replica connects to its primary.
fn conninfo(primary: &ServerUrl, name: &str) -> String {
    let ServerUrl { user, password, host, port, .. } = primary;
    format!("host={host} port={port} user={user} password={password} application_name={name}")
}

/// A server of a cluster: the primary, or a replica of a primary with a number.
struct Member {
    of: Option<(ServerUrl, usize)>,
}

impl Member {
    fn name(&self) -> String {
        self.of.as_ref().map_or_else(|| "node0".to_owned(), |(_, number)| format!("node{number}"))
    }
}

impl Product for Member {
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
        match self.of {
            None => Postgres.programs(),
            Some(_) => &["pg_basebackup", "postgres"],
        }
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
        let Some((primary, _)) = &self.of else {
            return Postgres.initialise(home, program, url);
        };
        let mut backup = home.command(&program("pg_basebackup"));
        backup
            .env("PGPASSWORD", &primary.password)
            .args(["--pgdata=data", "--checkpoint=fast", "--no-sync", "--no-manifest"])
            .args(["--wal-method=stream", "--no-password"])
            .arg(format!("--host={}", primary.host))
            .arg(format!("--port={}", primary.port))
            .arg(format!("--username={}", primary.user));
        complete(backup);
        home.write("data/standby.signal", "");
        // What was changed on the primary by `ALTER SYSTEM` is the primary's.
        let conninfo = conninfo(primary, &Member::name(self));
        home.write("data/postgresql.auto.conf", &format!("primary_conninfo = '{conninfo}'\n"));
    }

    fn arguments(&self, home: &Path, url: &ServerUrl) -> Vec<String> {
        // Without `synchronous_commit`, a commit reaches the replicas up to 0.6 s later, and a kill of the server loses it.
        // With it, a kill loses nothing, as the system's file cache survives it.
        let mut arguments: Vec<String> = Vec::new();
        let mut given = Postgres.arguments(home, url).into_iter();
        while let (Some(option), Some(value)) = (given.next(), given.next()) {
            if !value.starts_with("synchronous_commit=") {
                arguments.extend([option, value]);
            }
        }
        let settings = [
            format!("cluster_name={}", Member::name(self)),
            "shared_buffers=16MB".to_owned(),
            "max_wal_senders=10".to_owned(),
            // A replica that was away for a while finds what it has missed.
            "wal_keep_size=512MB".to_owned(),
            // An idle server writes nothing.
            "autovacuum=off".to_owned(),
            "checkpoint_timeout=1h".to_owned(),
            "wal_retrieve_retry_interval=100ms".to_owned(),
            "wal_receiver_status_interval=1s".to_owned(),
        ];
        for setting in settings {
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
        format!("{} OWNER {APP}", Postgres.create_database(name))
    }
}
