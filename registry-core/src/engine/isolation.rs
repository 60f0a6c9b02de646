//! The one connection of an engine in test isolation, in a transaction that is never committed.
//!
//! Diesel counts that transaction as the first, so each later transaction is a savepoint. Every borrower has a savepoint
//! of its own, which ends at the next checkout and not on the return. If it ended on the return, the connection would
//! still be in use when the test drops its session and acquires the next one at once.
//!
//! If the connection is closed, all changes of the test are rolled back. So no statement between two borrowers may be cut
//! short: these statements run in a task of their own ([`run_to_completion`]), even if the caller no longer waits.

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
use super::observe::watch::CheckoutPurpose;
use super::permit::Permit;
use super::pool::Lease;
use super::self_wait::unless_self_wait;
use super::setup::setup_error;
use super::typed::TypedEngine;
use crate::backend::{Backend, ConnectError, transaction_depth};
use crate::settings::BindKey;

/// How deep Diesel is while the connection is lent: the transaction that is never committed, and the borrower's savepoint.
pub(crate) const DEPTH_WHILE_LENT: u32 = 2;

impl<C: Backend> TypedEngine<C> {
    /// Waits for the permit `turn`. Fails if the calling task waits for itself: it holds the connection, and no future of
    /// the task makes progress that could return the connection.
    pub(super) async fn permit_unless_self_wait<T>(
        &self,
        turn: impl Future<Output = T>,
    ) -> Result<T, AcquireError> {
        let turn = unless_self_wait(turn, || self.statements_of_idle_caller());
        // Boxed, so that it does not enlarge the future of a caller that waits for an ordinary engine.
        let turn = Box::pin(turn).await;
        turn.ok_or(AcquireError::Isolated { key: self.settings.key })
    }

    /// The number of statements that the calling task has begun on the connection. `None` if the task does not hold the
    /// connection, or runs a statement on it now.
    pub(super) fn statements_of_idle_caller(&self) -> Option<u64> {
        let mut statements = None;
        self.holders.count_of_caller(|watch| {
            let is_idle = watch.purpose() != CheckoutPurpose::Query && !watch.is_cut_short();
            statements = is_idle.then(|| watch.statement_count()).or(statements);
            is_idle
        });
        statements
    }

    /// Whether the calling task holds the connection for longer than one query. A query returns the connection by itself.
    pub(super) fn is_held_by_caller_beyond_query(&self) -> bool {
        self.holders.count_of_caller(|watch| watch.purpose() != CheckoutPurpose::Query) > 0
    }

    /// Prepares the slot in a task of its own, see the [module](self).
    pub(super) async fn fill_in_own_task(
        mut permit: Permit<C>,
        started: Instant,
        wait_limit: Duration,
    ) -> Result<Permit<C>, AcquireError> {
        let engine = Arc::clone(permit.engine());
        let key = engine.settings.key;
        let filling = async move {
            engine.unless_closed(engine.fill_slot(&mut permit, started, wait_limit)).await??;
            Ok(permit)
        };
        run_to_completion(key, filling).await
    }

    /// Prepares the slot for its next borrower: opens the connection at the first checkout, and begins a savepoint.
    pub(super) async fn fill_isolated(
        &self,
        lease: &mut Lease<C>,
        remaining: Duration,
    ) -> Result<(), AcquireError> {
        let key = self.settings.key;
        if lease.connection().is_none() {
            if self.has_connected.load(Ordering::SeqCst) {
                return Err(AcquireError::IsolationLost { key });
            }
            let connected = async {
                let mut connected = self.connect(remaining).await?;
                let effects = connected.watch.session_effects();
                let ready = connected.connection.enter_work(false).await;
                ready.map_err(|error| setup_error::<C>("the isolation", error))?;
                connected.watch.restore_session_effects(effects);
                Ok(connected)
            };
            let connected = connected.await.map_err(|error| self.could_not_connect(error))?;
            lease.fill(connected, None);
            // Set only now: if the setup fails, the test has made no changes yet, so another connection may be opened.
            self.has_connected.store(true, Ordering::SeqCst);
        }
        // Discarded until the savepoint is set: if that fails, the connection is not lent again.
        lease.discard();
        let Some(connection) = lease.connection_mut() else {
            return Err(AcquireError::IsolationLost { key });
        };
        let status = C::TransactionManager::transaction_manager_status_mut(connection);
        let was_begun = !matches!(transaction_depth(status), Ok(0));
        let limit = self.settings.options.connect_timeout.min(remaining);
        match timeout(limit, begin_savepoint(connection)).await {
            Ok(Ok(())) => {}
            // The last borrower's savepoint is gone, so the outer transaction has ended.
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

/// Runs `work` to its end in a task of its own, even if this future is dropped.
pub(super) async fn run_to_completion<T: Send + 'static>(
    key: BindKey,
    work: impl Future<Output = Result<T, AcquireError>> + Send + 'static,
) -> Result<T, AcquireError> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(AcquireError::NoRuntime { key }),
        },
    }
}

/// Ends the savepoint of the last borrower, and begins one for the next.
async fn begin_savepoint<C: Backend>(connection: &mut C) -> QueryResult<()> {
    let depth =
        transaction_depth(C::TransactionManager::transaction_manager_status_mut(connection))?;
    if depth == 0 {
        C::TransactionManager::begin_transaction(connection).await?;
    }
    // Rolls back the transactions that the last borrower has left open.
    for _ in DEPTH_WHILE_LENT..depth {
        C::TransactionManager::rollback_transaction(connection).await?;
    }
    if depth >= DEPTH_WHILE_LENT {
        // After an error, PostgreSQL refuses every statement until a rollback to the savepoint.
        let is_aborted = connection.batch_execute(CHECK).await.is_err();
        if is_aborted {
            C::TransactionManager::rollback_transaction(connection).await?;
        } else {
            C::TransactionManager::commit_transaction(connection).await?;
        }
    }
    C::TransactionManager::begin_transaction(connection).await
}
