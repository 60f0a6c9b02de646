//! The one connection of an engine in test isolation: in a transaction that is never committed.
//!
//! Diesel counts that transaction as the first, so whatever is begun after it is a savepoint. Each borrower has
//! one of its own, which is dealt with when the next one comes: a connection that did so on its way back would
//! still be lent when the test, which has just dropped it, asks again.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use diesel::QueryResult;
use diesel_async::TransactionManager;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::check::CHECK;
use super::error::AcquireError;
use super::permit::Permit;
use super::pool::Lease;
use super::self_wait::unless_self_wait;
use super::setup::setup_error;
use super::typed::TypedEngine;
use crate::backend::{Backend, ConnectError, transaction_depth};
use crate::settings::BindKey;

/// The depth of the transaction that is never committed, and the savepoint of a borrower in it.
const BORROWED: u32 = 2;

impl<C: Backend> TypedEngine<C> {
    /// What waiting for the connection comes to, unless the calling task waits for itself: it has the connection,
    /// and nothing goes on in it that could let go.
    pub(super) async fn permit_unless_self_wait<T>(
        &self,
        turn: impl Future<Output = T>,
    ) -> Result<T, AcquireError> {
        let turn = unless_self_wait(turn, || self.statements_of_idle_caller());
        // Boxed: each caller that waits for any engine would make room for it.
        let turn = Box::pin(turn).await;
        turn.ok_or(AcquireError::Isolated { key: self.settings.key })
    }

    /// How many statements the calling task has begun on the connection, if it has that and is not at one.
    fn statements_of_idle_caller(&self) -> Option<u64> {
        let mut done = None;
        self.holders.count_of_caller(|watch| {
            let is_idle = !watch.is_returned_after_query() && !watch.is_cut_short();
            done = is_idle.then(|| watch.statement_count()).or(done);
            is_idle
        });
        done
    }

    /// Whether the calling task has the connection until it drops something.
    pub(super) fn is_held_by_caller_beyond_query(&self) -> bool {
        self.holders.count_of_caller(|watch| !watch.is_returned_after_query()) > 0
    }

    /// Sees to it that the slot has the one connection, in a task of its own: if the caller goes away, a statement
    /// that was cut short would cost the connection, and the test all that it has done.
    pub(super) async fn fill_in_own_task(
        mut permit: Permit<C>,
        started: Instant,
        within: Duration,
    ) -> Result<Permit<C>, AcquireError> {
        let engine = Arc::clone(permit.engine());
        let key = engine.settings.key;
        let filling = async move {
            engine.unless_closed(engine.fill_slot(&mut permit, started, within)).await??;
            Ok(permit)
        };
        run_to_completion(key, filling).await
    }

    /// Sees to it that the slot has the one connection, as its next borrower is to find it.
    pub(super) async fn fill_isolated(
        &self,
        lease: &mut Lease<C>,
        left: Duration,
    ) -> Result<(), AcquireError> {
        let key = self.settings.key;
        if lease.connection().is_none() {
            if self.has_connected.load(Ordering::SeqCst) {
                return Err(AcquireError::IsolationLost { key });
            }
            let connected = async {
                let mut connected = self.connect(left).await?;
                let left = connected.watch.session_effects();
                let ready = connected.connection.enter_work(false).await;
                ready.map_err(|error| setup_error::<C>("the isolation", error))?;
                connected.watch.restore_session_effects(left);
                Ok(connected)
            };
            let connected = connected.await.map_err(|error| self.could_not_connect(error))?;
            lease.fill(connected, None);
            // Only now: before that, nothing was done on it that could be lost.
            self.has_connected.store(true, Ordering::SeqCst);
        }
        // Until the opposite is known.
        lease.discard();
        let Some(connection) = lease.connection_mut() else {
            return Err(AcquireError::IsolationLost { key });
        };
        let status = C::TransactionManager::transaction_manager_status_mut(connection);
        let was_begun = !matches!(transaction_depth(status), Ok(0));
        let limit = self.settings.options.connect_timeout.min(left);
        match timeout(limit, settle(connection)).await {
            Ok(Ok(())) => {}
            // The savepoint of the last borrower is gone, and with it the transaction that was not to be committed.
            Ok(Err(_)) if was_begun => return Err(AcquireError::IsolationLost { key }),
            Ok(Err(error)) => {
                let source = Arc::new(ConnectError::Setup {
                    statement: "SAVEPOINT".to_owned(),
                    source: error.into(),
                });
                let url = self.settings.url.to_string();
                return Err(AcquireError::Connect { key, url, source });
            }
            Err(_) => return Err(self.could_not_connect(ConnectError::TimedOut { after: limit })),
        }
        lease.keep();
        Ok(())
    }
}

/// Runs `work` to its end, whether or not anybody waits for that.
pub(super) async fn run_to_completion<T: Send + 'static>(
    key: BindKey,
    work: impl Future<Output = Result<T, AcquireError>> + Send + 'static,
) -> Result<T, AcquireError> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends.
            Err(_) => Err(AcquireError::NoRuntime { key }),
        },
    }
}

/// Ends what the last borrower has left, and begins a savepoint for the next.
async fn settle<C: Backend>(connection: &mut C) -> QueryResult<()> {
    let depth =
        transaction_depth(C::TransactionManager::transaction_manager_status_mut(connection))?;
    if depth == 0 {
        C::TransactionManager::begin_transaction(connection).await?;
    }
    // What the last one has begun, and neither committed nor rolled back.
    for _ in BORROWED..depth {
        C::TransactionManager::rollback_transaction(connection).await?;
    }
    if depth >= BORROWED {
        // In PostgreSQL, a failure is the end of all that follows, up to the savepoint before it.
        let is_spoilt = connection.batch_execute(CHECK).await.is_err();
        if is_spoilt {
            C::TransactionManager::rollback_transaction(connection).await?;
        } else {
            C::TransactionManager::commit_transaction(connection).await?;
        }
    }
    C::TransactionManager::begin_transaction(connection).await
}
