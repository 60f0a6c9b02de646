//! A table on a cluster of servers, a registry whose bind has the replicas, and reads that say where they ran.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use registry_core::{
    BindDsl, BindSettings, Error, ReadSession, Reader, Registry, RunQueryDsl, Token, bind_tables,
};
use tokio::task::block_in_place;

use super::{Backend, Cluster, PORT, QUOTE, cluster};
use crate::support::proxy::soon;

diesel::table! {
    pairs (id) {
        id -> BigInt,
    }
}
bind_tables!(db = "default", connection = Backend; pairs);

pub(crate) type Main = <pairs::table as registry_core::Bound>::Bind;

pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    /// The URL of the database on the first server.
    pub(crate) url: String,
    pub(crate) registry: Registry,
}

/// What a read has found.
#[derive(Debug, Clone, PartialEq, Queryable)]
pub(crate) struct Seen {
    /// The port of the server that has answered, past its proxy.
    pub(crate) port: String,
    /// How many rows of the table have the id that was asked for.
    pub(crate) found: i64,
}

/// What `SELECT` has to select for [`Seen`]. It has no word but those of a plain query, so that it is run again if its
/// connection was lost.
pub(crate) fn seen(table: &str, id: i64) -> SqlLiteral<(Text, BigInt)> {
    let columns = format!(r#"{PORT}, (SELECT count(*) FROM "{table}" WHERE "id" = {id})"#);
    sql(&columns.replace('"', QUOTE))
}

/// Settings with which a test sees soon what has changed.
pub(crate) fn bind(url: &str) -> BindSettings {
    BindSettings::new(url)
        .probe_interval(Duration::from_millis(20))
        .connect_timeout(Duration::from_secs(2))
}

impl Rig {
    /// A cluster with that many replicas, each of which the bind has, and an empty table.
    pub(crate) async fn new(replicas: usize) -> Self {
        Self::with(replicas, |bind| bind).await
    }

    /// As [`new`](Self::new), with more settings.
    pub(crate) async fn with(
        replicas: usize,
        change: impl FnOnce(BindSettings) -> BindSettings,
    ) -> Self {
        let rig = Self::with_unread(replicas, change).await;
        rig.every_replica_is_read_from().await;
        rig
    }

    /// As [`with`](Self::with), before anything is read.
    pub(crate) async fn with_unread(
        replicas: usize,
        change: impl FnOnce(BindSettings) -> BindSettings,
    ) -> Self {
        let (cluster, url) = prepare(replicas).await;
        let bind = bind(&url).replicas(cluster.replicas().iter().map(|node| node.at(&url)));
        Self::of(cluster, url, change(bind))
    }

    /// With these settings of the bind.
    pub(crate) fn of(cluster: Cluster, url: String, bind: BindSettings) -> Self {
        let registry = Registry::builder().bind("default", bind).build().expect("good settings");
        Self { cluster, url, registry }
    }

    /// Commits a row, and returns the position after it.
    pub(crate) async fn write(&self, id: i64) -> Token {
        write(&self.registry, id).await.expect("the primary takes it")
    }

    pub(crate) fn reader(&self) -> Reader {
        self.registry.reader()
    }

    /// Reads until the servers with these numbers, and no others, have answered in the last rounds.
    ///
    /// # Panics
    ///
    /// If they do not within the limit of a test that would hang.
    pub(crate) async fn reads_come_from(&self, reader: &Reader, numbers: &[usize]) {
        let expected: Vec<_> = numbers.iter().map(|number| self.real_port(*number)).collect();
        let mut last = Vec::new();
        let settled = async {
            loop {
                let mut found: Vec<String> = Vec::new();
                for _ in 0..24 {
                    found.push(read(reader, 0).await.expect("a server answers").port);
                }
                found.sort_unstable();
                found.dedup();
                last.clone_from(&found);
                if found.len() == expected.len() && expected.iter().all(|port| found.contains(port))
                {
                    return;
                }
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), settled).await;
        assert!(in_time.is_ok(), "reads come from {last:?}, not from {expected:?}");
    }

    pub(crate) async fn every_replica_is_read_from(&self) {
        let replicas: Vec<_> = (1..=self.cluster.replicas().len()).collect();
        self.reads_come_from(&self.reader(), &replicas).await;
    }

    /// The port of a server, past its proxy.
    pub(crate) fn real_port(&self, number: usize) -> String {
        self.cluster.node(number).server().port().to_string()
    }

    /// Stops each replica from applying what it receives.
    pub(crate) fn pause_all(&self) {
        block_in_place(|| self.cluster.replicas().iter().for_each(|node| node.pause_replay()));
    }

    pub(crate) fn resume_all(&self) {
        block_in_place(|| self.cluster.replicas().iter().for_each(|node| node.resume_replay()));
    }
}

/// A proxied cluster with an empty table.
pub(crate) async fn prepare(replicas: usize) -> (Cluster, String) {
    let cluster = block_in_place(|| cluster(replicas)).proxied().await;
    let url = block_in_place(|| {
        let url = cluster.database("test");
        cluster.execute_in(&url, "CREATE TABLE pairs (id BIGINT NOT NULL PRIMARY KEY)");
        cluster.wait_until_caught_up();
        url
    });
    (cluster, url)
}

/// Commits a row, and returns the position after it.
pub(crate) async fn write(registry: &Registry, id: i64) -> Result<Token, Error> {
    let mut work = registry.begin();
    diesel::insert_into(pairs::table).values(pairs::id.eq(id)).execute(&mut work).await?;
    Ok(work.commit().await?.token())
}

/// Asks for a row by a reader.
pub(crate) async fn read(reader: &Reader, id: i64) -> Result<Seen, Error> {
    soon(diesel::select(seen("pairs", id)).reads::<pairs::table>().get_result(reader)).await
}

/// Asks for a row on a session.
pub(crate) async fn read_on(session: &mut ReadSession<Main>, id: i64) -> QueryResult<Seen> {
    soon(diesel::select(seen("pairs", id)).reads::<pairs::table>().get_result(session)).await
}
