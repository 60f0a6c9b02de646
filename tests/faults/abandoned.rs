//! Statements that nobody waits for any more.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;

use super::rig::{Rig, UPDATE, create_things, number};
use super::{IMPATIENT, OPEN_TRANSACTIONS};
use crate::support::proxy::soon;

/// Locks a row, and goes on for half a minute.
fn lock_and_linger(url: &str) -> &'static str {
    if url.starts_with("postgres") {
        "WITH locked AS MATERIALIZED (SELECT id FROM things FOR UPDATE) \
         SELECT pg_sleep(30) FROM locked"
    } else {
        // Not SLEEP alone, during which MariaDB looks after its client every five seconds.
        "UPDATE things SET value = value + 1 WHERE id = 1 AND BENCHMARK(2000000000, MD5(value)) = 0"
    }
}

/// The server notices that its client is gone only once the statement has ended, unless it is told.
#[tokio::test]
async fn a_statement_whose_future_was_dropped_is_ended_on_the_server_and_lets_go_of_its_locks() {
    let rig = Rig::new(|bind| bind).await;
    let mut observer = rig.observer().await;
    create_things(&mut observer).await;
    observer.batch_execute(IMPATIENT).await.expect("a setting");
    let mut session = rig.session().await;
    let gate = rig.proxy.hold_answers();
    {
        let statement = session.batch_execute(lock_and_linger(&rig.direct));
        tokio::select! {
            _ = statement => panic!("it takes half a minute"),
            () = soon(gate.asked()) => {}
        }
    }
    soon(async {
        while number(&mut observer, OPEN_TRANSACTIONS).await == 0 {
            // MariaDB looks anew only when nobody has looked for a tenth of a second.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    })
    .await;
    drop(gate);
    drop(session);
    observer.batch_execute(UPDATE).await.expect("it is not locked for half a minute");
    rig.finish().await;
}
