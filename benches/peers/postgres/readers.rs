//! A routed query on a reader: of a bind without replicas, and with one and two.

use std::hint::black_box;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use registry_core::{BindSettings, Reader, Registry, ReplicaState, RunQueryDsl};

use super::database::{Item, items};
use super::ours::{Routed, registry};
use crate::case::{Case, Outcome, subject};
use crate::peers::{Find, Finds, MANY};
use crate::places::Place;

/// The subjects share a process, because they compare ways to use one registry.
pub(super) fn case(name: &'static str, tasks: u32) -> Case {
    let subjects = [
        subject!("registry", Finds, |urls| Routed(registry(primary(&urls)))),
        subject!("ours", Finds, |urls| Reads(registry(primary(&urls)).reader())),
        subject!("ours-one-replica", Finds, |urls| Reads::from_replicas(&urls, 1).await),
        subject!("ours-two-replicas", Finds, |urls| Reads::from_replicas(&urls, 2).await),
    ];
    Case { is_shared: true, ..Case::new(name, tasks, Place::Replicas, subjects) }
}

/// Reads that each occupy a connection for [`SLOW`] while the server is idle, on pools of [`FEW`] connections: so the
/// servers, and not the cores that they share, are what the reads have to wait for.
pub(super) fn slow_case() -> Case {
    let subjects = [
        subject!("registry", Finds, |urls| SlowRouted(build(few(&urls)))),
        subject!("ours", Finds, |urls| SlowReads(Reads(build(few(&urls)).reader()))),
        subject!("ours-one-replica", Finds, |urls| {
            SlowReads(Reads::from_replicas_with(few(&urls), &urls, 1).await)
        }),
        subject!("ours-two-replicas", Finds, |urls| {
            SlowReads(Reads::from_replicas_with(few(&urls), &urls, 2).await)
        }),
    ];
    let case = Case::new("reader-slow-64", MANY, Place::Replicas, subjects).with_long_turns();
    Case { is_shared: true, ..case }
}

const FEW: u32 = 4;
const SLOW: &str = "pg_sleep(0.005) IS NOT NULL";

fn few(urls: &str) -> BindSettings {
    BindSettings::new(primary(urls)).max_connections(FEW)
}

fn build(bind: BindSettings) -> Registry {
    Registry::builder().bind("default", bind).build().expect("a registry")
}

fn primary(urls: &str) -> &str {
    urls.split(' ').next().unwrap_or_default()
}

/// A reader as the executor of routed queries.
#[derive(Clone)]
struct Reads(Reader);

impl Reads {
    /// A reader that is known to read from so many replicas.
    async fn from_replicas(urls: &str, number: usize) -> Self {
        Self::from_replicas_with(BindSettings::new(primary(urls)), urls, number).await
    }

    async fn from_replicas_with(bind: BindSettings, urls: &str, number: usize) -> Self {
        let registry = build(bind.replicas(urls.split(' ').skip(1).take(number)));
        let reads = Self(registry.reader());
        loop {
            reads.find(1).await.expect("a row");
            let status = registry.status();
            let is_fit = |state| state == ReplicaState::Fit;
            let fit = status.engines[0].replicas.iter().filter(|replica| is_fit(replica.state));
            if fit.count() == number {
                return reads;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Find for Reads {
    async fn find(&self, id: i64) -> Outcome {
        let query = items::table.find(id).select(Item::as_select());
        let item: Item = query.get_result(&self.0).await?;
        black_box(item);
        Ok(())
    }
}

/// A query on the registry that takes [`SLOW`].
#[derive(Clone)]
struct SlowRouted(Registry);

impl Find for SlowRouted {
    async fn find(&self, id: i64) -> Outcome {
        let query = items::table.find(id).filter(sql::<Bool>(SLOW)).select(Item::as_select());
        let item: Item = query.get_result(&self.0).await?;
        black_box(item);
        Ok(())
    }
}

/// A query on a reader that takes [`SLOW`].
#[derive(Clone)]
struct SlowReads(Reads);

impl Find for SlowReads {
    async fn find(&self, id: i64) -> Outcome {
        let Self(Reads(reader)) = self;
        let query = items::table.find(id).filter(sql::<Bool>(SLOW)).select(Item::as_select());
        let item: Item = query.get_result(reader).await?;
        black_box(item);
        Ok(())
    }
}
