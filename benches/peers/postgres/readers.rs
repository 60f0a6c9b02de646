//! A routed query on a reader: of a bind without replicas, and with one and two.

use std::hint::black_box;
use std::time::Duration;

use diesel::prelude::*;
use registry_core::{BindSettings, Reader, Registry, ReplicaState, RunQueryDsl};

use super::database::{Item, items};
use super::ours::{Routed, registry};
use crate::case::{Case, Outcome, subject};
use crate::peers::{Find, Finds};
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

fn primary(urls: &str) -> &str {
    urls.split(' ').next().unwrap_or_default()
}

/// A reader as the executor of routed queries.
#[derive(Clone)]
struct Reads(Reader);

impl Reads {
    /// A reader that is known to read from so many replicas.
    async fn from_replicas(urls: &str, number: usize) -> Self {
        let bind = BindSettings::new(primary(urls)).replicas(urls.split(' ').skip(1).take(number));
        let registry = Registry::builder().bind("default", bind).build().expect("a registry");
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
