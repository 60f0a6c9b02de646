//! The shared set-up: a registry with one bind behind a proxy, and another bind that must not be affected.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::join_all;
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, ByKey, ConnectError, Registry};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Backend, has_transaction, server};
use crate::support::proxy::{Proxy, soon};

pub(crate) type Session = registry_core::Session<ByKey<Backend>>;

/// The limit for things that are due immediately. It is generous, as the machine may be busy.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(10);

/// A registry whose bind `default` connects through a proxy, and whose bind `other` connects directly.
pub(crate) struct Rig {
    pub(crate) proxy: Proxy,
    pub(crate) registry: Registry,
    /// The URL of the database of `default` that bypasses the proxy.
    pub(crate) direct: String,
    bystander: Option<Bystander>,
}

impl Rig {
    /// With up to two connections, which are checked at each acquire. All time-outs but that of the check are long.
    /// `settings` can change that.
    pub(crate) async fn new(settings: impl FnOnce(BindSettings) -> BindSettings) -> Self {
        let direct = server().database("fault");
        let proxy = Proxy::before(server().port()).await;
        let registry = registry(&proxy.url(&direct), settings);
        let bystander = Some(Bystander::of(&registry));
        Self { proxy, registry, direct, bystander }
    }

    pub(crate) async fn acquire(&self) -> Result<Session, AcquireError> {
        acquire(&self.registry).await
    }

    pub(crate) async fn session(&self) -> Session {
        self.acquire().await.expect("a session")
    }

    /// Opens two connections and returns them to the pool.
    pub(crate) async fn warm(&self) {
        drop((self.session().await, self.session().await));
        assert_eq!(self.registry.status().engines[0].idle, 2);
    }

    /// A direct connection outside every engine.
    pub(crate) async fn observer(&self) -> Backend {
        connect(&self.direct).await
    }

    /// Asserts that the engine has its whole capacity, and has left nothing on the server.
    pub(crate) async fn assert_whole(&self) {
        assert_whole(&self.registry).await;
        self.assert_no_transaction().await;
    }

    /// Waits until the server has no transaction open. It notices closed connections with a delay.
    pub(crate) async fn assert_no_transaction(&self) {
        soon(async { while has_transaction(&self.direct).await {} }).await;
    }

    /// Asserts that the other bind was not affected.
    pub(crate) async fn finish(mut self) {
        self.assert_whole().await;
        self.bystander.take().expect("once").finish().await;
    }

    /// Stops the use of the other bind, for tests that count tasks or connections.
    pub(crate) async fn alone(&mut self) {
        self.bystander.take().expect("once").finish().await;
    }
}

/// A registry with the bind `default` at `url`, and the bind `other` at a database of its own.
pub(crate) fn registry(url: &str, settings: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
    let bind = BindSettings::new(url)
        .max_connections(2)
        .check_idle_after(Duration::ZERO)
        .check_timeout(Duration::from_millis(500))
        .connect_timeout(Duration::from_secs(20))
        .acquire_timeout(Duration::from_secs(40));
    Registry::builder()
        .bind("default", settings(bind))
        .bind("other", server().database("other"))
        .build()
        .expect("good settings")
}

pub(crate) async fn acquire(registry: &Registry) -> Result<Session, AcquireError> {
    soon(registry.session_by_key::<Backend>("default")).await
}

pub(crate) async fn connect(url: &str) -> Backend {
    Backend::establish(url).await.expect("the server is up")
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

pub(crate) async fn try_number(connection: &mut Backend, query: &str) -> QueryResult<i64> {
    let row: Number = soon(sql_query(query).get_result(connection)).await?;
    Ok(row.value)
}

pub(crate) async fn number(connection: &mut Backend, query: &str) -> i64 {
    try_number(connection, query).await.expect("a row")
}

/// Runs a query with a unique number and asserts that the answer is its own.
pub(crate) async fn assert_answers(session: &mut Session, what: i64) {
    assert_eq!(number(session, &format!("SELECT {what} - 1 + count(*) AS value")).await, what);
}

/// Asserts that the engine lends all its sessions at once, that each works, and that all become idle again.
pub(crate) async fn assert_whole(registry: &Registry) {
    let status = || registry.status().engines.swap_remove(0);
    assert_eq!(status().key, "default");
    let max = status().max;
    let mut sessions: Vec<Session> = join_all((0..max).map(|_| acquire(registry)))
        .await
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("as many sessions as there may be");
    for (session, what) in sessions.iter_mut().zip(10..) {
        assert_answers(session, what).await;
    }
    assert_eq!((status().in_use, status().idle, status().waiting), (max, 0, 0));
    drop(sessions);
    assert_eq!((status().in_use, status().idle), (0, max));
}

/// Acquires a session, which must fail. Returns the error and how long it took.
pub(crate) async fn refused(registry: &Registry) -> (AcquireError, Duration) {
    let started = Instant::now();
    let error = acquire(registry).await.expect_err("it must fail");
    (error, started.elapsed())
}

pub(crate) fn connect_error(error: &AcquireError) -> &ConnectError {
    match error {
        AcquireError::Connect { source, .. } => source,
        other => panic!("another variant: {other:?}"),
    }
}

/// Creates a table `things` with one row, for updates that conflict.
pub(crate) async fn create_things(observer: &mut Backend) {
    observer
        .batch_execute(
            "CREATE TABLE things (id INTEGER PRIMARY KEY NOT NULL, value INTEGER NOT NULL)",
        )
        .await
        .expect("an empty database");
    observer.batch_execute("INSERT INTO things VALUES (1, 0)").await.expect("a row");
}

pub(crate) const UPDATE: &str = "UPDATE things SET value = value + 1 WHERE id = 1";

/// Polls `future` at most `times` times, each time after it was woken, and then drops it. `None`: it had not
/// completed.
pub(crate) async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = times;
    soon(std::future::poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    }))
    .await
}

/// A task that uses the bind `other` all the time.
struct Bystander {
    is_over: watch::Sender<bool>,
    task: JoinHandle<u32>,
}

impl Bystander {
    fn of(registry: &Registry) -> Self {
        let is_over = watch::Sender::new(false);
        let task = tokio::spawn({
            let (registry, is_over) = (registry.clone(), is_over.subscribe());
            async move {
                let mut rounds = 0;
                // At least once.
                loop {
                    let round = async {
                        let session = registry.session_by_key::<Backend>("other").await;
                        assert_answers(&mut session.expect("a session"), 7).await;
                    };
                    tokio::time::timeout(AT_ONCE, round).await.expect("it is not held up");
                    rounds += 1;
                    if *is_over.borrow() {
                        return rounds;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        Self { is_over, task }
    }

    async fn finish(self) {
        self.is_over.send_replace(true);
        assert!(self.task.await.expect("the other bind works all the time") > 0);
    }
}
