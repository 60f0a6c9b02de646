//! A connection that is lent, and how it comes back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use diesel::connection::TransactionManagerStatus;
use diesel_async::{AsyncConnection, TransactionManager};
use tokio::runtime::Handle;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::core::{Core, run_each};
use super::pool::Lease;
use crate::backend::Backend;
use crate::settings::ResetOnReturn;

/// The right to one of an engine's connections.
pub(crate) struct Permit<C: Backend> {
    engine: Arc<Core<C>>,
}

impl<C: Backend> Permit<C> {
    pub(super) fn new(engine: Arc<Core<C>>, permit: SemaphorePermit<'_>) -> Self {
        // Given back by `drop` below: a permit that borrows the engine could not be kept beside it.
        permit.forget();
        Self { engine }
    }
}

impl<C: Backend> Drop for Permit<C> {
    fn drop(&mut self) {
        self.engine.permits.add_permits(1);
        if self.engine.is_closed() {
            self.engine.returned.notify_waiters();
        }
    }
}

/// A permit and the slot that it is good for.
pub(crate) struct Held<C: Backend> {
    // Dropped in this order: whoever gets the permit next must find the slot back in the pool.
    lease: Option<Lease<C>>,
    permit: Permit<C>,
}

impl<C: Backend> Held<C> {
    pub(super) fn new(lease: Option<Lease<C>>, permit: Permit<C>) -> Self {
        Self { lease, permit }
    }

    pub(super) fn put(&mut self, lease: Lease<C>) {
        self.lease = Some(lease);
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut Lease<C>> {
        self.lease.as_mut()
    }
}

/// A live connection that is lent until this is dropped.
///
/// On return, a connection that may not be in the state in which it was lent never goes back: one
/// with an open transaction, or with a transaction statement that was cut short, is closed. What
/// `reset_on_return` asks for beyond that needs the server, so it runs in the background, and the
/// connection counts as lent until it is done.
pub(crate) struct Loan<C: Backend> {
    /// Empty only while it is dropped.
    held: Option<Held<C>>,
    is_discarded: bool,
}

impl<C: Backend> Loan<C> {
    pub(super) fn new(held: Held<C>) -> Self {
        Self { held: Some(held), is_discarded: false }
    }

    pub(crate) fn engine(&self) -> &Core<C> {
        match &self.held {
            Some(held) => &held.permit.engine,
            None => unreachable!("a loan is only emptied when it is dropped"),
        }
    }

    pub(crate) fn connection(&self) -> &C {
        let lease = self.held.as_ref().and_then(|held| held.lease.as_ref());
        match lease.and_then(|lease| lease.connection()) {
            Some(connection) => connection,
            None => unreachable!("a loan is made of a slot that was filled"),
        }
    }

    pub(crate) fn connection_mut(&mut self) -> &mut C {
        let lease = self.held.as_mut().and_then(|held| held.lease.as_mut());
        match lease.and_then(|lease| lease.connection_mut()) {
            Some(connection) => connection,
            None => unreachable!("a loan is made of a slot that was filled"),
        }
    }

    /// Hands the connection itself to `work`, which gives it back.
    pub(crate) fn lend_on<R>(&mut self, work: impl FnOnce(C) -> (C, R)) -> R {
        let lease = self.held.as_mut().and_then(|held| held.lease.as_mut());
        match lease.and_then(|lease| Some((lease.take()?, lease))) {
            Some((connection, lease)) => {
                let (connection, result) = work(connection);
                lease.put_back(connection);
                result
            }
            None => unreachable!("a loan is made of a slot that was filled"),
        }
    }

    /// The connection will be closed instead of lent again.
    pub(crate) fn discard(&mut self) {
        self.is_discarded = true;
    }
}

impl<C: Backend> Drop for Loan<C> {
    fn drop(&mut self) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        let settings = &held.permit.engine.settings;
        let (reset, is_memory) = (settings.options.reset_on_return, settings.url.is_memory());
        let is_closed = held.permit.engine.is_closed();
        let Some(lease) = &mut held.lease else { return };
        // Until the opposite is known: if a look at it panics, the connection goes and the slot stays.
        lease.discard();
        if self.is_discarded || is_closed {
            return;
        }
        let is_unfinished = lease.connection_mut().is_none_or(is_in_transaction);
        let after = match (is_unfinished, reset) {
            (false, ResetOnReturn::Auto) => Return::Now,
            // Its connection is the database: it must be mended, it cannot be replaced.
            (true, _) if is_memory => Return::After(Cleaning::RollBack),
            (true, _) => Return::Never,
            (false, ResetOnReturn::Rollback) => Return::After(Cleaning::RollBack),
            (false, ResetOnReturn::Full) if C::FULL_RESET.is_some() || is_memory => {
                Return::After(Cleaning::Full)
            }
            (false, ResetOnReturn::Full) => Return::Never,
        };
        match after {
            Return::Never => {}
            Return::Now => {
                lease.touch();
                lease.keep();
            }
            // Without a runtime there is nobody to clean it, and it is closed.
            Return::After(cleaning) => {
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(clean(held, cleaning));
                }
            }
        }
    }
}

enum Return {
    Now,
    After(Cleaning),
    Never,
}

#[derive(Clone, Copy)]
enum Cleaning {
    RollBack,
    Full,
}

/// Whether Diesel knows of an open transaction, or cannot tell.
fn is_in_transaction<C: Backend>(connection: &mut C) -> bool {
    // SQLite's connection panics when it is asked while a statement whose future was dropped runs.
    catch_unwind(AssertUnwindSafe(|| {
        <C::TransactionManager as TransactionManager<C>>::is_broken_transaction_manager(connection)
    }))
    .unwrap_or(true)
}

/// Cleans a connection and puts it back. It is closed if that fails or takes too long.
async fn clean<C: Backend>(mut held: Held<C>, cleaning: Cleaning) {
    let engine = Arc::clone(&held.permit.engine);
    let options = &engine.settings.options;
    let Some(lease) = &mut held.lease else { return };
    let Some(connection) = lease.connection_mut() else {
        return;
    };
    let cleaned = timeout(options.check_timeout, async {
        let rolled_back = connection.batch_execute("ROLLBACK").await;
        if !C::ROLLBACK_NEEDS_TRANSACTION && rolled_back.is_err() {
            return false;
        }
        *<C as AsyncConnection>::TransactionManager::transaction_manager_status_mut(connection) =
            TransactionManagerStatus::default();
        match cleaning {
            Cleaning::RollBack => true,
            Cleaning::Full => {
                connection.batch_execute(C::FULL_RESET.unwrap_or("SELECT 1")).await.is_ok()
                    && run_each(connection, &options.on_connect).await.is_ok()
            }
        }
    })
    .await;
    if let Ok(true) = cleaned {
        lease.touch();
        lease.keep();
    } else {
        tracing::warn!(
            target: "registry",
            bind = %engine.settings.key,
            "a connection could not be reset on its return and is closed"
        );
    }
}
