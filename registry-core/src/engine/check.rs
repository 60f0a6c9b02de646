//! The check of an idle connection before it is lent.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::observe::meters::CloseReason;
use super::observe::watch::ConnectionWatch;
use super::pool::Lease;
use super::typed::TypedEngine;
use crate::backend::Backend;

/// The statement that checks whether a connection answers. Every backend understands it.
///
/// Users: the check before a connection is lent (this file), the check of idle connections (`maintenance`), the
/// verification of an engine (`open`), and the return to the outer transaction in test isolation (`isolation`), where
/// the statement must fail if the transaction is aborted.
pub(super) const CHECK: &str = "SELECT 1";

impl<C: Backend> TypedEngine<C> {
    /// Whether the slot has a connection that can be lent without asking the server: the connection has worked within
    /// `check_idle_after`, is not older than `max_lifetime` and belongs to this runtime, and no error on a connection of
    /// the engine has put it in doubt.
    pub(super) fn is_fresh(&self, lease: &mut Lease<C>, runtime: &Handle) -> bool {
        if self.settings.is_isolated || lease.connection_mut().is_none_or(C::is_known_dead) {
            return false;
        }
        if self.settings.url.is_memory() {
            // The database lives in this connection, and a check that is cut short would close the connection.
            return true;
        }
        let now = std::time::Instant::now();
        // Not `<=`: "0s" means "always", also if the clock has not advanced since the last use.
        lease.idle_for(now) < self.settings.options.check_idle_after
            && !lease.is_expired(now)
            && lease.is_of(runtime.id())
            && lease.watch().is_some_and(|watch| {
                !watch.is_outdated()
                    && !watch.must_recheck_role()
                    && !watch.is_in_doubt()
                    && !may_have_rows::<C>(watch)
            })
    }

    /// Whether the slot has a connection that answers within `remaining` and `check_timeout`. A connection that does not
    /// answer is not lent again. If the check is cut short, the slot stays discarded, so the connection is not lent again
    /// either.
    pub(super) async fn passes_check(
        &self,
        lease: &mut Lease<C>,
        runtime: &Handle,
        remaining: Duration,
    ) -> bool {
        if lease.is_expired(std::time::Instant::now()) {
            self.stats.note_closed(CloseReason::Expired);
            return false;
        }
        if !lease.is_of(runtime.id()) {
            return false;
        }
        lease.discard();
        let Some(watch) = lease.watch().map(Arc::clone) else { return false };
        if watch.is_outdated() {
            self.stats.note_closed(CloseReason::Outdated);
            return false;
        }
        let check_timeout = self.settings.options.check_timeout;
        let may_have_rows = may_have_rows::<C>(&watch);
        let limit = if may_have_rows { check_timeout.min(ROWS_GRACE) } else { check_timeout };
        let limit = limit.min(remaining);
        let Some(connection) = lease.connection_mut() else { return false };
        if connection.is_known_dead() {
            self.stats.note_closed(CloseReason::Unanswered);
            return false;
        }
        let losses = watch.loss_count();
        let answer = timeout(limit, async {
            if !watch.must_recheck_role() {
                return connection.batch_execute(CHECK).await.is_ok();
            }
            // The server has refused a write on another connection of the engine, so the role of the server is checked.
            // The answer also shows that this connection is alive.
            let takes_writes = connection.accepts_writes().await.is_ok_and(|takes| takes);
            if takes_writes {
                watch.note_role_checked();
            }
            takes_writes
        });
        let answered = answer.await.is_ok_and(|answered| answered);
        // The effects of the check are not a borrower's.
        watch.observed.session.forget_effects();
        if answered {
            watch.note_rows_read();
            watch.note_alive(losses);
            lease.keep();
            lease.note_alive();
        } else {
            self.stats.note_closed(CloseReason::Unanswered);
            if let Some(cancel) = lease.cancel().filter(|_| may_have_rows) {
                // The server has to send the last borrower's rows before the answer, and would go on sending them.
                runtime.spawn(timeout(check_timeout, cancel));
            }
        }
        answered
    }
}

/// Whether the connection may have rows that the last borrower has not read, which arrive before the next answer.
fn may_have_rows<C: Backend>(watch: &ConnectionWatch) -> bool {
    C::LEAVES_UNREAD_ROWS && !watch.observed.reads_stream() && watch.may_have_rows()
}

/// The limit of the wait for an answer if unread rows may arrive before it. Opening another connection mostly takes less
/// time.
const ROWS_GRACE: Duration = Duration::from_millis(100);
