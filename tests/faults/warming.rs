//! Closing while the engine connects by itself, to keep `min_idle` connections warm.

use futures_util::poll;
use tokio::runtime::Handle;

use super::Backend;
use super::rig::Rig;
use crate::support::proxy::soon;
use crate::support::{eventually, sockets};

#[tokio::test]
async fn closing_waits_for_a_connection_that_is_kept_warm_and_leaves_nothing_of_it() {
    let mut rig = Rig::new(|bind| bind.max_connections(4).min_idle(2)).await;
    rig.alone().await;
    // The first acquire starts the maintenance: both are held up in connecting.
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
