//! registry-core on PostgreSQL, with its defaults.

use std::hint::black_box;
use std::time::Duration;

use diesel::prelude::*;
use metrics_exporter_prometheus::PrometheusBuilder;
use registry_core::Registry;

use super::database::{Item, items};
use crate::case::Outcome;
use crate::peers::{Acquire, Find};

pub(crate) fn registry(url: &str) -> Registry {
    Registry::builder().bind("default", url).build().expect("a registry")
}

/// As [`registry`], with the recorder of queries on.
pub(crate) fn recording_registry(url: &str) -> Registry {
    let builder = Registry::builder().bind("default", url).record_queries(true);
    builder.build().expect("a registry")
}

/// As [`registry`], in a process whose metrics go to the exporter for Prometheus. Nobody asks it for them meanwhile, so what
/// it has gathered is put together each second, as a server of it would.
pub(crate) fn measured_registry(url: &str) -> Registry {
    let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
    let builder = PrometheusBuilder::new().set_buckets(&buckets).expect("there are some");
    let exporter = builder.install_recorder().expect("the process has no other");
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            exporter.run_upkeep();
        }
    });
    registry(url)
}

/// `session_for`, and diesel-async's methods on the session.
#[derive(Clone)]
pub(crate) struct Sessions(pub(crate) Registry);

impl Acquire for Sessions {
    async fn acquire(&self) -> Outcome {
        black_box(&self.0.session_for::<Item>().await?);
        Ok(())
    }
}

impl Find for Sessions {
    async fn find(&self, id: i64) -> Outcome {
        let mut session = self.0.session_for::<Item>().await?;
        let query = items::table.find(id).select(Item::as_select());
        let item: Item = diesel_async::RunQueryDsl::get_result(query, &mut session).await?;
        black_box(item);
        Ok(())
    }
}

/// The registry as the executor of routed queries.
#[derive(Clone)]
pub(crate) struct Routed(pub(crate) Registry);

impl Find for Routed {
    async fn find(&self, id: i64) -> Outcome {
        let query = items::table.find(id).select(Item::as_select());
        let item: Item = registry_core::RunQueryDsl::get_result(query, &self.0).await?;
        black_box(item);
        Ok(())
    }
}
