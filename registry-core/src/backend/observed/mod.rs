//! The observed state of one connection.
//!
//! PostgreSQL reports after each statement whether a transaction is open, gives each error a code, and reports the role
//! of the server. Neither tokio-postgres nor diesel-async passes these reports on, so the registry reads them from the
//! stream (`postgres/wire`) and keeps them here.
//!
//! The stream is read for PostgreSQL over TCP, or through a transaction pooler; not over a plain Unix socket, not for
//! MySQL. SQLite has none. Without a stream, each statement is judged by its text after it has run, and a possible effect
//! on a transaction counts as a change that has to be undone.
//!
//! | file | contents |
//! |---|---|
//! | [`transaction`] | whether a transaction is open, and whether one has ended without Diesel's transaction manager |
//! | [`session`] | changes that statements may have left in the session, and prepared statements |
//! | [`errors`] | the classes of the server's errors |
//! | [`stream`] | statements in flight, the end of the stream, the host |
//! | [`role`] | whether the server accepts writes |

use std::sync::OnceLock;

use super::position::ServerIdentity;
use crate::sql::{Effects, TransactionEffect};

mod errors;
mod role;
mod session;
mod stream;
mod transaction;

pub(crate) use self::errors::ERRORS_KEPT;
use self::errors::ObservedErrors;
use self::role::ServerRole;
use self::session::ObservedSession;
pub(crate) use self::session::SessionEffects;
use self::stream::ObservedStream;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use self::stream::TerminationGuard;
use self::transaction::ObservedTransaction;
pub(crate) use self::transaction::{TransactionDoubts, TransactionStatus};

/// The observed state of one connection, shared by its stream, its instrumentation and its slot in the engine.
///
/// The atomics are written before the answer to a statement reaches the waiting task, and the answer goes through a
/// channel of the driver. `Relaxed` is enough, because the channel orders the accesses.
#[derive(Debug, Default)]
pub struct Observed {
    reads_stream: bool,
    pub(crate) transaction: ObservedTransaction,
    pub(crate) session: ObservedSession,
    pub(crate) errors: ObservedErrors,
    pub(crate) stream: ObservedStream,
    pub(crate) role: ServerRole,
    /// What names the very server, and its run since its start. Only known on connections to replicas.
    server_identity: OnceLock<ServerIdentity>,
}

impl Observed {
    /// For a connection whose stream is read.
    #[cfg(feature = "postgres")]
    pub(super) fn of_stream() -> Self {
        Self { reads_stream: true, ..Self::default() }
    }

    /// Whether the registry reads the connection's stream, so that transactions and errors are known from the server.
    pub(crate) fn reads_stream(&self) -> bool {
        self.reads_stream
    }

    pub(crate) fn server_identity(&self) -> Option<ServerIdentity> {
        self.server_identity.get().copied()
    }

    /// Records the identity of the server. The first one counts: a connection leads to one server as long as it lives.
    pub(crate) fn note_server_identity(&self, identity: ServerIdentity) {
        let _ = self.server_identity.set(identity);
    }

    /// Whether it is certain that nothing was sent to the server since
    /// [`ObservedStream::note_nothing_sent`]. False if the stream is not read.
    pub(crate) fn has_sent_nothing(&self) -> bool {
        self.reads_stream && !self.stream.has_sent()
    }

    /// Whether a transaction may be open, judged by the text of the statements that were run.
    pub(crate) fn may_be_in_transaction(&self) -> bool {
        self.session.effects().has_transaction() || self.transaction.is_autocommit_off()
    }

    /// Whether the text of a statement has begun a transaction, and none is known to have ended it. False if another
    /// statement may have done anything: its text does not show whether it is over.
    pub(crate) fn was_begun_by_text(&self) -> bool {
        self.session.effects().has_transaction() && !self.session.is_changed()
    }

    /// Records the possible effects of a statement.
    pub(crate) fn note_effects(&self, effects: Effects) {
        // If the server reports transactions, the text of a statement is not used for them.
        let transaction = match self.reads_stream {
            true => TransactionEffect::None,
            false => effects.transaction,
        };
        self.session.note_effects(effects.session, transaction);
    }
}
