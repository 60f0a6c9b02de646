//! The background maintenance that keeps `min_idle` live connections until the engine is closed.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use futures_util::poll;
use registry_core::Registry;
use registry_core::settings::BindSettings;
use tokio::runtime::Handle;

use super::rig::{AT_ONCE, Rig, acquire, connect, create_things, number, registry};
use super::{Backend, CONNECTIONS, DURABLE, mortal};
use crate::support::proxy::soon;
use crate::support::{eventually, sockets};

#[tokio::test]
async fn closing_during_a_warm_up_leaves_no_connection() {
    let mut rig = Rig::new(|bind| bind.max_connections(4).min_idle(2)).await;
    rig.alone().await;
    // The first acquire starts the maintenance. Both of them hang while connecting.
    let gate = rig.proxy.hold_answers();
    let mut acquire = rig.registry.session_by_key::<Backend>("default");
    soon(async {
        while rig.proxy.accepted() < 2 {
            assert!(poll!(&mut acquire).is_pending());
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(acquire);
    let mut closing = std::pin::pin!(rig.registry.close());
    assert!(poll!(&mut closing).is_pending(), "a connection is on its way");
    drop(gate);
    assert!(soon(closing).await.is_complete());
    let status = &rig.registry.status().engines[0];
    assert_eq!((status.in_use, status.idle), (0, 0));
    eventually(|| sockets::to_port(rig.proxy.port()) == 0).await;
    eventually(|| Handle::current().metrics().num_alive_tasks() == 0).await;
}

/// Keeps two connections warm and checks them every tenth of a second. The time-out of a check is generous, as the
/// machine may be busy.
fn two_warm(bind: BindSettings) -> BindSettings {
    bind.max_connections(3)
        .min_idle(2)
        .idle_timeout(Duration::from_millis(200))
        .check_timeout(Duration::from_secs(2))
}

fn idle(registry: &Registry) -> (u32, u32) {
    let status = &registry.status().engines[0];
    (status.in_use, status.idle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warm_connections_to_a_killed_server_are_replaced_without_an_acquire() {
    let server = mortal().await;
    let url = server.database("warm");
    let mut observer = connect(&url).await;
    observer.batch_execute(DURABLE).await.expect("an admin may");
    create_things(&mut observer).await;
    let registry = registry(&url, two_warm);
    drop(acquire(&registry).await.expect("it starts the maintenance"));
    eventually(|| idle(&registry) == (0, 2)).await;
    tokio::task::block_in_place(|| {
        server.kill9();
        server.start();
    });
    let mut observer = connect(&url).await;
    soon(async { while number(&mut observer, CONNECTIONS).await < 2 {} }).await;
    eventually(|| idle(&registry) == (0, 2)).await;
    assert_eq!(number(&mut observer, CONNECTIONS).await, 2);
    drop(observer);
    assert!(registry.close_within(AT_ONCE).await.is_complete());
}

#[tokio::test]
async fn silent_warm_connections_are_replaced_and_live_ones_kept() {
    let mut rig = Rig::new(two_warm).await;
    rig.alone().await;
    drop(rig.session().await);
    // While the first session is lent, the maintenance may decide to open two more, of which one is then closed as idle.
    let mut accepted = 0;
    soon(async {
        while accepted != rig.proxy.accepted() {
            eventually(|| rig.proxy.open() == 2 && idle(&rig.registry) == (0, 2)).await;
            accepted = rig.proxy.accepted();
            // Checked again and again, they are kept.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    rig.proxy.lose_open();
    soon(async {
        while rig.proxy.accepted() < accepted + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    eventually(|| idle(&rig.registry) == (0, 2)).await;
    drop(rig.session().await);
}
