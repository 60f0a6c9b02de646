//! The same faults in a plain bb8 pool over diesel-async, built as the pool of diesel-async is: the reason for the
//! engines of this crate. If one of these tests fails, the fault was fixed upstream.

use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

use crate::support;
use crate::support::proxy::{Proxy, soon};

struct Connections(String);

impl bb8::ManageConnection for Connections {
    type Connection = AsyncPgConnection;
    type Error = String;

    async fn connect(&self) -> Result<AsyncPgConnection, String> {
        AsyncPgConnection::establish(&self.0).await.map_err(|error| error.to_string())
    }

    async fn is_valid(&self, connection: &mut AsyncPgConnection) -> Result<(), String> {
        connection.batch_execute("SELECT 1").await.map_err(|error| error.to_string())
    }

    fn has_broken(&self, _: &mut AsyncPgConnection) -> bool {
        false
    }
}

const LIMIT: Duration = Duration::from_secs(2);

async fn pool(proxy: &Proxy) -> bb8::Pool<Connections> {
    let url = proxy.url(&support::postgres().database("plain"));
    bb8::Pool::builder().max_size(1).connection_timeout(LIMIT).build_unchecked(Connections(url))
}

#[tokio::test]
async fn bb8_waits_its_whole_timeout_for_a_refused_connection_and_loses_the_cause() {
    let proxy = Proxy::before(support::postgres().port()).await;
    let pool = pool(&proxy).await;
    proxy.refuse().await;
    let started = Instant::now();
    let error = soon(pool.get()).await.map(drop).expect_err("nobody listens");
    assert!(started.elapsed() >= LIMIT, "{:?}", started.elapsed());
    assert!(matches!(error, bb8::RunError::TimedOut), "{error:?}");
}

#[tokio::test]
async fn bb8_keeps_a_connection_whose_check_hung() {
    let proxy = Proxy::before(support::postgres().port()).await;
    let pool = pool(&proxy).await;
    drop(soon(pool.get()).await.expect("a connection"));
    proxy.lose_open();
    // New connections would work, but bb8 checks the dead one and keeps it.
    let error = soon(pool.get()).await.map(drop).expect_err("it is lost");
    assert!(matches!(error, bb8::RunError::TimedOut), "{error:?}");
    assert_eq!((pool.state().connections, pool.state().idle_connections), (1, 1));
}

#[test]
fn bb8_loses_capacity_when_a_runtime_ends_during_an_acquire() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (proxy, pool) = runtime().expect("a runtime").block_on(async {
        let proxy = Proxy::before(support::postgres().port()).await;
        proxy.be_silent();
        let pool = pool(&proxy).await;
        let mut get = Box::pin(pool.get());
        while proxy.accepted() == 0 {
            assert!(futures_util::poll!(&mut get).is_pending());
            tokio::task::yield_now().await;
        }
        drop(get);
        (proxy, pool)
    });
    runtime().expect("a runtime").block_on(async {
        proxy.heal().await;
        let error = soon(pool.get()).await.map(drop).expect_err("its only slot is gone");
        assert!(matches!(error, bb8::RunError::TimedOut), "{error:?}");
    });
}
