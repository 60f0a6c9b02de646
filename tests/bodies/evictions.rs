//! The limit on engines that are opened on demand, and which of them are evicted.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use registry_core::{AcquireError, Registry, Session, Tenant, bind};
use tokio::sync::Notify;

use super::tenants;
use crate::support::{causes, eventually};

#[bind(db = "crm", connection = super::Backend)]
struct Model;

type Crm = <Model as registry_core::Bound>::Bind;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn registry(max_engines: u32) -> Registry {
    let builder = Registry::builder().bind("crm", tenants(NAMES)).max_engines(max_engines);
    builder.build().expect("good settings")
}

fn tenant(registry: &Registry, name: &str) -> Tenant {
    registry.tenant(name).expect("a good name")
}

async fn session(registry: &Registry, name: &str) -> Session<Crm> {
    tenant(registry, name).session_for::<Model>().await.expect("a session")
}

/// The tenants whose engines are open, the most recently used first.
fn open(registry: &Registry) -> Vec<String> {
    let engines = registry.status().on_demand.engines;
    engines.into_iter().flat_map(|engine| engine.tenants).collect()
}

#[tokio::test]
async fn least_recently_used_engine_is_evicted_first() {
    let registry = registry(2);
    drop(session(&registry, "a").await);
    drop(session(&registry, "b").await);
    drop(session(&registry, "a").await);
    assert_eq!(open(&registry), ["a", "b"]);
    drop(session(&registry, "c").await);
    assert_eq!(open(&registry), ["c", "a"]);
    let status = registry.status().on_demand;
    assert_eq!((status.hits, status.misses, status.evictions), (1, 3, 1));
}

#[tokio::test]
async fn engine_with_a_lent_session_is_never_evicted() {
    let registry = registry(2);
    let mut lent = session(&registry, "a").await;
    for _ in 0..3 {
        drop(session(&registry, "b").await);
        drop(session(&registry, "c").await);
    }
    assert_eq!(open(&registry), ["c", "a"]);
    lent.batch_execute("SELECT 1").await.expect("it is open");
}

#[tokio::test]
async fn error_says_that_every_engine_is_in_use() {
    let registry = registry(2);
    let lent = [session(&registry, "a").await, session(&registry, "b").await];
    let cold = tenant(&registry, "c");
    let waiting = cold.session_for::<Model>().within(Duration::from_millis(50));
    let error = waiting.await.unwrap_err();
    assert_eq!(
        causes(&error),
        ["bind `crm`: timed out after 50ms waiting for an engine: 2/2 (max_engines) in use, \
          0 waiting"]
    );
    assert!(error.is_timeout() && error.is_transient());
    assert_eq!(error.key(), "crm");
    assert_eq!(registry.status().on_demand.waiting, 0, "it waits no more");
    drop(lent);
    drop(session(&registry, "c").await);
}

#[tokio::test]
async fn callers_waiting_for_an_engine_are_served_in_order() {
    let registry = registry(1);
    let lent = session(&registry, "a").await;
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for (at, name) in ["b", "c", "d"].into_iter().enumerate() {
        let (asking, said) = (registry.clone(), said.clone());
        tokio::spawn(async move {
            let session = session(&asking, name).await;
            said.send(name).expect("it listens");
            drop(session);
        });
        eventually(|| registry.status().on_demand.waiting == at + 1).await;
    }
    drop(lent);
    for name in ["b", "c", "d"] {
        assert_eq!(heard.recv().await, Some(name));
    }
}

#[tokio::test]
async fn abandoned_waits_keep_the_order_of_the_others() {
    let registry = registry(1);
    let lent = session(&registry, "a").await;
    let (cold, last) = (tenant(&registry, "b"), tenant(&registry, "c"));
    let mut gone = Box::pin(async move { cold.session_for::<Model>().await });
    assert!(futures_util::poll!(&mut gone).is_pending());
    let mut waiting = Box::pin(async move { last.session_for::<Model>().await });
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(gone);
    drop(lent);
    drop(waiting.await.expect("a session"));
    assert_eq!(open(&registry), ["c"]);
}

#[tokio::test]
async fn engine_with_waiting_callers_outlives_its_last_session() {
    let settings = registry_core::BindSettings::new(tenants(NAMES)).max_connections(1);
    let registry =
        Registry::builder().bind("crm", settings).max_engines(1).build().expect("good settings");
    let lent = session(&registry, "a").await;
    let (same, other) = (tenant(&registry, "a"), tenant(&registry, "b"));
    let mut other = Box::pin(async move { other.session_for::<Model>().await });
    assert!(futures_util::poll!(&mut other).is_pending());
    let mut same = Box::pin(async move { same.session_for::<Model>().await });
    assert!(futures_util::poll!(&mut same).is_pending());
    drop(lent);
    // The caller waits for a session of an open engine, and not for an engine, so that engine is not evicted.
    drop(same.await.expect("a session"));
    drop(other.await.expect("a session"));
    assert_eq!(open(&registry), ["b"]);
}

#[tokio::test]
async fn opening_an_engine_does_not_delay_sessions_of_open_engines() {
    let gate = Arc::new(Notify::new());
    let (template, held) = (tenants(NAMES), Arc::clone(&gate));
    let resolver = registry_core::TenantResolver::new(move |tenant| {
        let (tenant, template, held) = (tenant.clone(), template.clone(), Arc::clone(&held));
        async move {
            if tenant.name() == "b" {
                held.notified().await;
            }
            Ok::<_, std::io::Error>(registry_core::BindSettings::new(
                template.replace("{tenant}", tenant.name()),
            ))
        }
    });
    let registry = Registry::builder().tenants("crm", resolver).build().expect("good settings");
    drop(session(&registry, "a").await);
    let cold = tenant(&registry, "b");
    let mut cold = Box::pin(async move { cold.session_for::<Model>().await });
    assert!(futures_util::poll!(&mut cold).is_pending());
    for _ in 0..10 {
        drop(session(&registry, "a").await);
    }
    drop(session(&registry, "c").await);
    assert!(futures_util::poll!(&mut cold).is_pending());
    gate.notify_one();
    drop(cold.await.expect("a session"));
}

#[tokio::test]
async fn idle_engines_are_evicted_and_those_in_use_stay() {
    let builder = Registry::builder().bind("crm", tenants(NAMES));
    let registry =
        builder.engine_idle_timeout(Duration::from_millis(40)).build().expect("good settings");
    let lent = session(&registry, "a").await;
    drop(session(&registry, "b").await);
    eventually(|| open(&registry) == ["a"]).await;
    let status = registry.status().on_demand;
    assert_eq!((status.expired, status.evictions), (1, 0));
    drop(lent);
    eventually(|| open(&registry).is_empty()).await;
    drop(session(&registry, "a").await);
}

/// An engine has its connections until it is evicted, and none afterwards.
#[tokio::test]
async fn evicted_engine_closes_its_connections_before_the_next_one_opens() {
    let registry = registry(1);
    for name in NAMES.iter().cycle().take(12) {
        drop(session(&registry, name).await);
        let status = registry.status().on_demand;
        assert!(status.engines.len() + status.closing <= 1, "{status:?}");
    }
    eventually(|| registry.status().on_demand.closing == 0).await;
}

#[test]
fn sessions_can_be_dropped_outside_a_runtime() {
    let registry = registry(1);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let lent = runtime.block_on(session(&registry, "a"));
    let waiting = {
        let registry = registry.clone();
        runtime.spawn(async move { drop(session(&registry, "b").await) })
    };
    runtime.block_on(eventually(|| registry.status().on_demand.waiting == 1));
    drop(lent);
    runtime.block_on(waiting).expect("its turn");
}

#[test]
fn engines_opened_in_one_runtime_work_in_the_next() {
    let registry = registry(1);
    for name in ["a", "b", "a", "c"] {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { drop(session(&registry, name).await) });
    }
}

#[tokio::test]
async fn settings_limit_the_number_and_idle_time_of_engines() {
    let settings = registry_core::Settings::from_toml(&format!(
        "max_engines = 1\nengine_idle_timeout = '40ms'\n[binds]\ncrm = '{}'",
        tenants(NAMES)
    ))
    .expect("TOML");
    let builder = Registry::builder().settings(settings.clone()).max_engines(7);
    let registry = builder.build().expect("good settings");
    assert_eq!(registry.status().on_demand.max_engines, 1, "the settings win");
    drop(session(&registry, "a").await);
    drop(session(&registry, "b").await);
    assert_eq!(open(&registry), ["b"]);
    eventually(|| open(&registry).is_empty()).await;

    let laid_over = settings.overlaid_with([("DATABASE__MAX_ENGINES", "0")]);
    let error = Registry::from_settings(laid_over).unwrap_err();
    assert_eq!(error.to_string(), "DATABASE__MAX_ENGINES: at least 1 engine can be open");
}

/// Programs that retry match on the fields of [`AcquireError`].
#[tokio::test]
async fn in_use_error_has_the_limit_and_the_number_of_waiting_callers() {
    let registry = registry(1);
    let lent = session(&registry, "a").await;
    let (first, second) = (tenant(&registry, "b"), tenant(&registry, "c"));
    let mut first = Box::pin(async move { first.session_for::<Model>().await });
    assert!(futures_util::poll!(&mut first).is_pending());
    let error = second.session_for::<Model>().within(Duration::from_millis(20)).await.unwrap_err();
    assert!(
        matches!(error, AcquireError::TooManyEngines { max_engines: 1, waiting: 1, .. }),
        "{error}"
    );
    drop((lent, first));
}

/// The permit was granted to a waiting caller that has not been polled since.
#[tokio::test]
async fn closing_a_tenant_does_not_wait_for_a_permit_granted_to_a_waiting_caller() {
    let settings = registry_core::BindSettings::new(tenants(NAMES)).max_connections(1);
    let registry = Registry::builder().bind("crm", settings).build().expect("good settings");
    for name in ["a", "b"] {
        let lent = session(&registry, name).await;
        let other = tenant(&registry, name);
        let mut waiting = Box::pin(async move { other.session_for::<Model>().await });
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(lent);
        let mut closing = Box::pin(registry.close_tenant(name));
        assert!(futures_util::poll!(&mut closing).is_pending());
        if name == "a" {
            drop(waiting.await.expect("a session of the next engine"));
        } else {
            drop(waiting);
        }
        let closed = tokio::time::timeout(Duration::from_secs(10), closing).await;
        assert!(closed.expect("nothing is lent").expect("a good name").is_complete());
    }
}
