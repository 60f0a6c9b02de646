//! The gauges of connections are what the status says, whenever nothing is under way.

use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};
use registry_core::{BindSettings, EngineStatus, Registry, Session, bind};

use super::{Backend, database, tenants};
use crate::exporter::{Exporter, with_exporter};
use crate::support::{eventually, is_at_rest};

#[bind(db = "default", connection = super::Backend)]
struct Model;

type Main = <Model as registry_core::Bound>::Bind;

#[bind(db = "crm", connection = super::Backend)]
struct TenantModel;

type Crm = <TenantModel as registry_core::Bound>::Bind;

/// A registry with the bind `default`.
fn registry(change: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
    let bind = change(BindSettings::new(database().as_str()).max_connections(3));
    Registry::builder().bind("default", bind).build().expect("good settings")
}

async fn session(registry: &Registry) -> Session<Main> {
    registry.session::<Main>().await.expect("a session")
}

/// Compares the gauges of connections with the status. All engines have been used.
#[track_caller]
fn assert_gauges(exporter: &Exporter, registry: &Registry) {
    let status = registry.status();
    let on_demand = status.on_demand.engines.iter().map(|engine| &engine.engine);
    let engines: Vec<&EngineStatus> = status.engines.iter().chain(on_demand).collect();
    for key in registry.keys() {
        let of_key = || engines.iter().filter(|engine| engine.key == *key);
        let reads = || of_key().filter_map(|engine| engine.reads.as_ref());
        let sum = |own: fn(&EngineStatus) -> u32, of_reads: u32| {
            f64::from(of_key().map(|engine| own(engine)).sum::<u32>() + of_reads)
        };
        let of_reads = [
            reads().map(|reads| reads.in_use_on_primary).sum(),
            reads().map(|reads| reads.idle_on_primary).sum(),
            reads().map(|reads| reads.max_on_primary).sum(),
        ];
        let expected = [
            sum(|engine| engine.in_use, of_reads[0]),
            sum(|engine| engine.idle, of_reads[1]),
            sum(|engine| engine.max, of_reads[2]),
            sum(|engine| engine.waiting, 0),
        ];
        let gauge = |name: &str| {
            let name = format!("registry_connections_{name}");
            exporter.value(&name, &[("bind", key), ("role", "primary")])
        };
        let found = ["active", "idle", "max", "pending"].map(gauge);
        assert_eq!(found, expected, "active, idle, max, pending of `{key}`: {status:?}");
    }
    let open = exporter.value("registry_engines_open", &[]);
    assert_eq!(open, status.on_demand.engines.len() as f64, "engines on demand");
    let (hits, misses) = (status.on_demand.hits as f64, status.on_demand.misses as f64);
    assert_eq!(exporter.value("registry_engines_hits_total", &[]), hits);
    assert_eq!(exporter.value("registry_engines_misses_total", &[]), misses);
}

/// The gauges that are not zero.
fn remaining(exporter: &Exporter) -> Vec<String> {
    let samples = exporter.samples().into_iter().filter(|sample| {
        let is_gauge = ["_active", "_idle", "_max", "_pending", "_open"]
            .iter()
            .any(|name| sample.name.ends_with(name));
        is_gauge && sample.value != 0.0
    });
    samples.map(|sample| format!("{sample:?}")).collect()
}

#[test]
fn gauges_agree_after_a_return() {
    with_exporter(async |exporter| {
        let registry = registry(|bind| bind);
        let one = session(&registry).await;
        assert_gauges(exporter, &registry);
        let two = session(&registry).await;
        assert_gauges(exporter, &registry);
        drop(one);
        is_at_rest_but(&registry, 1).await;
        assert_gauges(exporter, &registry);
        drop(two);
        is_at_rest(&registry).await;
        assert_gauges(exporter, &registry);
        assert_eq!(registry.status().engines[0].idle, 2, "the test is about these");
    });
}

/// Waits until so many sessions are in use.
async fn is_at_rest_but(registry: &Registry, in_use: u32) {
    eventually(|| registry.status().engines[0].in_use == in_use).await;
}

#[test]
fn gauges_agree_after_a_reset_in_the_background_and_after_a_connection_that_cannot_be_reset() {
    with_exporter(async |exporter| {
        let registry = registry(|bind| bind);
        let mut changed = session(&registry).await;
        let change = match super::NAME {
            "postgres" => "SET work_mem = '1MB'",
            "mysql" => "SET @a = 1",
            _ => "PRAGMA cache_size = 100",
        };
        changed.batch_execute(change).await.expect("it can be set");
        drop(changed);
        // In the middle of the reset, too.
        assert_gauges(exporter, &registry);
        is_at_rest(&registry).await;
        assert_gauges(exporter, &registry);
        let mut unclean = session(&registry).await;
        type Manager = <Backend as AsyncConnection>::TransactionManager;
        Manager::begin_transaction(&mut *unclean).await.expect("a transaction");
        drop(unclean);
        is_at_rest(&registry).await;
        assert_gauges(exporter, &registry);
        assert_eq!(registry.status().engines[0].idle, 0, "it was closed");
    });
}

#[test]
fn gauges_agree_after_connections_were_closed_for_their_age() {
    for is_lifetime in [false, true] {
        with_exporter(async |exporter| {
            let limit = Duration::from_millis(20);
            let registry = registry(|bind| match is_lifetime {
                true => bind.max_lifetime(limit),
                false => bind.idle_timeout(limit),
            });
            drop((session(&registry).await, session(&registry).await));
            eventually(|| registry.status().engines[0].idle == 0).await;
            is_at_rest(&registry).await;
            assert_gauges(exporter, &registry);
        });
    }
}

#[test]
fn gauges_agree_after_connections_were_opened_and_checked_in_advance() {
    with_exporter(async |exporter| {
        let registry = registry(|bind| bind.min_idle(2).check_idle_after(Duration::ZERO));
        drop(session(&registry).await);
        eventually(|| registry.status().engines[0].idle == 2).await;
        is_at_rest(&registry).await;
        assert_gauges(exporter, &registry);
    });
}

#[test]
fn gauges_agree_after_failures_and_waits() {
    with_exporter(async |exporter| {
        let failing = BindSettings::new(database().as_str()).on_connect(["NO SQL"]);
        let bind = BindSettings::new(database().as_str()).max_connections(1);
        let registry = Registry::builder().bind("default", bind).bind("failing", failing);
        let registry = registry.build().expect("good settings");
        registry.session_by_key::<Backend>("failing").await.expect_err("it cannot be set up");
        let lent = session(&registry).await;
        let mut waiting = registry.session::<Main>().within(Duration::from_millis(20));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_gauges(exporter, &registry);
        waiting.await.expect_err("it is in use");
        assert_gauges(exporter, &registry);
        let mut dropped = registry.session::<Main>();
        assert!(futures_util::poll!(&mut dropped).is_pending());
        drop(dropped);
        drop(lent);
        is_at_rest(&registry).await;
        assert_gauges(exporter, &registry);
        let failed = exporter.value("registry_connections_failed_total", &[("bind", "failing")]);
        assert_eq!(failed, 1.0);
    });
}

#[test]
fn gauges_agree_after_a_connection_was_taken_out() {
    with_exporter(async |exporter| {
        let registry = registry(|bind| bind);
        let taken = session(&registry).await.into_inner().expect("it can be taken");
        assert_gauges(exporter, &registry);
        drop(taken);
        assert_gauges(exporter, &registry);
    });
}

#[test]
fn sessions_without_a_pool_are_in_no_gauge() {
    with_exporter(async |exporter| {
        let session = Session::<Main>::connect(database().as_str()).await.expect("it is up");
        assert_eq!(remaining(exporter), Vec::<String>::new());
        drop(session);
        assert_eq!(remaining(exporter), Vec::<String>::new());
        let created = exporter.value("registry_connections_creation_seconds_count", &[]);
        assert_eq!(created, 1.0, "its connection was opened all the same");
    });
}

#[test]
fn gauges_agree_in_test_isolation() {
    with_exporter(async |exporter| {
        let application = registry(|bind| bind);
        let isolated = application.test_isolation().await.expect("it is up");
        // An SQLite file was copied by it. The engines of both have the same labels.
        drop(application);
        let lent = session(&isolated).await;
        assert_gauges(exporter, &isolated);
        drop(lent);
        is_at_rest(&isolated).await;
        assert_gauges(exporter, &isolated);
        drop(isolated);
        eventually(|| remaining(exporter).is_empty()).await;
    });
}

#[test]
fn gauges_agree_with_reads_on_the_primary() {
    with_exporter(async |exporter| {
        let registry = registry(|bind| bind);
        drop(session(&registry).await);
        let read = registry.reader().session::<Main>().await.expect("a session");
        assert_gauges(exporter, &registry);
        drop(read);
        let in_use = || registry.status().engines[0].reads.as_ref().map(|it| it.in_use_on_primary);
        eventually(|| in_use() == Some(0)).await;
        is_at_rest(&registry).await;
        assert_gauges(exporter, &registry);
    });
}

#[test]
fn gauges_agree_after_evictions() {
    with_exporter(async |exporter| {
        let registry = Registry::builder().bind("crm", tenants(["a", "b", "c"])).max_engines(2);
        let registry = registry.build().expect("good settings");
        for name in ["a", "b", "a", "c", "b"] {
            let tenant = registry.tenant(name).expect("a good name");
            drop(tenant.session::<Crm>().await.expect("a session"));
        }
        eventually(|| registry.status().on_demand.closing == 0).await;
        let engines = || registry.status().on_demand.engines;
        eventually(|| engines().iter().all(|engine| engine.engine.in_use == 0)).await;
        // The task that waits for the end of an engine has the last handle of it.
        let max = || exporter.value("registry_connections_max", &[("bind", "crm")]);
        let expected = || engines().iter().map(|engine| f64::from(engine.engine.max)).sum::<f64>();
        eventually(|| max() == expected()).await;
        assert_on_demand(exporter, &registry);
        drop(registry);
        eventually(|| remaining(exporter).is_empty()).await;
    });
}

/// As [`assert_gauges`], for a bind of tenants, which has an engine for each.
#[track_caller]
fn assert_on_demand(exporter: &Exporter, registry: &Registry) {
    let status = registry.status().on_demand;
    let sum = |count: fn(&EngineStatus) -> u32| {
        status.engines.iter().map(|engine| f64::from(count(&engine.engine))).sum::<f64>()
    };
    let expected = [sum(|it| it.in_use), sum(|it| it.idle), sum(|it| it.max)];
    let gauge =
        |name: &str| exporter.value(&format!("registry_connections_{name}"), &[("bind", "crm")]);
    assert_eq!(["active", "idle", "max"].map(gauge), expected, "{status:?}");
    let of = |name: &str| exporter.value(&format!("registry_engines_{name}"), &[("bind", "crm")]);
    assert_eq!(of("open"), status.engines.len() as f64);
    assert_eq!(of("hits_total"), status.hits as f64);
    assert_eq!(of("misses_total"), status.misses as f64);
    assert_eq!(of("opened_total") - of("closed_total"), of("open"));
}

#[test]
fn gauges_agree_after_a_close_and_nothing_is_left_of_a_registry() {
    with_exporter(async |exporter| {
        let registry = registry(|bind| bind);
        let lent = session(&registry).await;
        drop(session(&registry).await);
        is_at_rest_but(&registry, 1).await;
        let late = registry.close_within(Duration::from_millis(1)).await;
        assert!(!late.is_complete());
        assert_gauges(exporter, &registry);
        drop(lent);
        is_at_rest(&registry).await;
        assert_gauges(exporter, &registry);
        drop(registry);
        eventually(|| remaining(exporter).is_empty()).await;
    });
}
