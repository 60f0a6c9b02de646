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
pub(super) const CHECK: &str = "SELECT 1";

impl<C: Backend> TypedEngine<C> {
    /// Whether the slot has a connection that can be lent without asking the server: it has worked within
    /// `check_idle_after`, is not older than `max_lifetime`, belongs to this runtime, and neither it nor another
    /// connection of the engine has met an error that puts it in doubt.
    pub(super) fn is_fresh(&self, lease: &mut Lease<C>, runtime: &Handle) -> bool {
        if self.settings.is_isolated || lease.connection_mut().is_none_or(C::is_known_dead) {
            return false;
        }
        if self.settings.url.is_memory() {
            // The database is in its connection, which a check that is cut short would close.
            return true;
        }
        let now = std::time::Instant::now();
        lease.idle_for(now) <= self.settings.options.check_idle_after
            && !lease.is_expired(now)
            && lease.is_of(runtime.id())
            && lease.watch().is_some_and(|watch| {
                !watch.is_outdated() && !watch.must_recheck_role() && !may_have_rows::<C>(watch)
            })
    }

    /// Whether the slot has a connection that answers within `remaining` and `check_timeout`. One that does not is
    /// not lent again, and neither is one whose check was cut short, as its slot stays discarded.
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
        let answer = timeout(limit, async {
            if !watch.must_recheck_role() {
                return connection.batch_execute(CHECK).await.is_ok();
            }
            // Another connection of the engine was refused a write. The answer shows that this one is alive as well.
            let takes_writes = connection.accepts_writes().await.is_ok_and(|takes| takes);
            if takes_writes {
                watch.note_role_checked();
            }
            takes_writes
        });
        let answered = answer.await.is_ok_and(|answered| answered);
        // The check was not run by a borrower.
        watch.observed.session.forget_effects();
        if answered {
            watch.note_rows_read();
            lease.keep();
            lease.note_alive();
        } else {
            self.stats.note_closed(CloseReason::Unanswered);
            if let Some(cancel) = lease.cancel().filter(|_| may_have_rows) {
                // The rows of the last borrower are in front of the answer, and the server would go on sending them.
                runtime.spawn(timeout(check_timeout, cancel));
            }
        }
        answered
    }
}

/// Whether rows that the last borrower has not read may be in front of the answer to the next statement.
fn may_have_rows<C: Backend>(watch: &ConnectionWatch) -> bool {
    C::LEAVES_UNREAD_ROWS && !watch.observed.reads_stream() && watch.may_have_rows()
}

/// For how long an answer is waited for where unread rows may be in front of it. Opening another connection mostly
/// takes less.
const ROWS_GRACE: Duration = Duration::from_millis(100);
