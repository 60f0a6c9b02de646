//! Registries that outlive the runtimes in which they are used, such as one in a static that several tests share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};
use registry_core::Registry;
use tokio::runtime::{Builder, Runtime};

use super::rig::{acquire, assert_whole, connect, number, registry};
use super::{Backend, CONNECTIONS, SECOND, has_transaction, server};
use crate::support::proxy::{Proxy, soon};

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

const RUNTIMES: [fn() -> Runtime; 4] = [current_thread, multi_thread, multi_thread, current_thread];

/// Waits until the server has no connection to the database at `url`.
fn assert_no_connection(url: &str) {
    current_thread().block_on(async {
        let mut observer = connect(url).await;
        soon(async { while number(&mut observer, CONNECTIONS).await > 0 {} }).await;
    });
}

/// Waits until the server has no transaction open in the database at `url`.
fn assert_no_transaction(url: &str) {
    current_thread().block_on(soon(async { while has_transaction(url).await {} }));
}

#[test]
fn static_registry_works_in_successive_runtimes() {
    static REGISTRY: OnceLock<(Registry, String)> = OnceLock::new();
    let (registry, url) = REGISTRY.get_or_init(|| {
        let url = server().database("static");
        (registry(&url, |bind| bind.check_idle_after(Duration::from_secs(600))), url)
    });
    for runtime in RUNTIMES {
        let runtime = runtime();
        for _ in 0..2 {
            runtime.block_on(assert_whole(registry));
        }
    }
    runtime_free_drop(registry);
    assert_no_transaction(url);
}

/// Connections of runtimes that have ended are closed on the next use of the engine, which works.
fn runtime_free_drop(registry: &Registry) {
    let sessions = multi_thread().block_on(async {
        [acquire(registry).await.expect("a session"), acquire(registry).await.expect("a session")]
    });
    drop(sessions);
    assert_eq!(registry.status().engines[0].in_use, 0);
    current_thread().block_on(assert_whole(registry));
}

#[test]
fn session_in_any_state_can_be_dropped_outside_a_runtime() {
    let url = server().database("outside");
    let registry = registry(&url, |bind| bind.check_idle_after(Duration::from_secs(600)));
    for runtime in RUNTIMES {
        let runtime = runtime();
        let (idle, in_transaction) = runtime.block_on(async {
            let idle = acquire(&registry).await.expect("a session");
            let mut other = acquire(&registry).await.expect("a session");
            let begin =
                <Backend as AsyncConnection>::TransactionManager::begin_transaction(&mut *other);
            begin.await.expect("begun");
            other.batch_execute("CREATE TEMPORARY TABLE mine (id INTEGER)").await.expect("a table");
            (idle, other)
        });
        // One is dropped while its runtime exists, the other after its end.
        drop(in_transaction);
        drop(runtime);
        drop(idle);
        assert_eq!(registry.status().engines[0].in_use, 0);
        current_thread().block_on(assert_whole(&registry));
    }
    assert_no_transaction(&url);
}

#[test]
fn runtime_shutdown_during_acquires_loses_no_capacity() {
    let proxy = current_thread().block_on(Proxy::before(server().port()));
    let url = server().database("ended");
    let registry = registry(&proxy.url(&url), |bind| bind);
    for runtime in RUNTIMES {
        let runtime = runtime();
        proxy.be_silent();
        let before = proxy.accepted();
        runtime.block_on(async {
            // Two callers connect, and the others wait in the queue.
            for _ in 0..5 {
                let registry = registry.clone();
                tokio::spawn(async move { acquire(&registry).await.map(drop) });
            }
            let both = async {
                while proxy.accepted() < before + 2 || registry.status().engines[0].waiting < 3 {
                    tokio::task::yield_now().await;
                }
            };
            soon(both).await;
        });
        runtime.shutdown_background();
        current_thread().block_on(async {
            proxy.heal().await;
            assert_whole(&registry).await;
        });
    }
}

#[test]
fn runtime_shutdown_with_lent_and_checked_sessions_loses_no_capacity() {
    let proxy = current_thread().block_on(Proxy::before(server().port()));
    let url = server().database("lent");
    let registry = registry(&proxy.url(&url), |bind| bind);
    for runtime in RUNTIMES {
        let runtime = runtime();
        runtime.block_on(async {
            assert_whole(&registry).await;
            // One session is in use for ever, and one hangs in its check.
            let mut session = acquire(&registry).await.expect("a session");
            let gate = proxy.hold_answers();
            tokio::spawn({
                let registry = registry.clone();
                async move { acquire(&registry).await.map(drop) }
            });
            tokio::spawn(async move {
                let _ = session.batch_execute(SECOND).await;
            });
            soon(gate.asked()).await;
        });
        drop(runtime);
        assert_eq!(registry.status().engines[0].in_use, 0);
        current_thread().block_on(assert_whole(&registry));
    }
    assert_no_transaction(&url);
    drop(registry);
    assert_no_connection(&url);
}

#[test]
fn runtime_without_timers_loses_no_capacity() {
    let registry = registry(&server().database("timeless"), |bind| bind);
    for _ in 0..4 {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        let acquired =
            catch_unwind(AssertUnwindSafe(|| runtime.block_on(acquire_plainly(&registry))));
        acquired.expect_err("tokio says that timers are disabled");
        assert_eq!(registry.status().engines[0].in_use, 0);
    }
    current_thread().block_on(assert_whole(&registry));
}

async fn acquire_plainly(registry: &Registry) {
    drop(registry.session_by_key::<Backend>("default").await);
}
