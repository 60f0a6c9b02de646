//! What is known of one connection from watching it.
//!
//! PostgreSQL reports after each statement whether a transaction is open, gives each error a code, and reports the role
//! of the server. Neither tokio-postgres nor diesel-async passes that on, so it is read from the stream
//! (`postgres/wire`) and kept here. MySQL's stream cannot be read, nor can PostgreSQL's through a Unix socket without a
//! transaction pooler, and SQLite has none. There, each statement is judged by its text once it has been run, and
//! whatever it may have done to a transaction counts as a change that has to be undone.
//!
//! | file | what it keeps |
//! |---|---|
//! | [`transaction`] | whether a transaction is open, and whether one has ended behind Diesel's back |
//! | [`session`] | what statements may have left in the session, and prepared statements |
//! | [`errors`] | what the server's errors mean |
//! | [`stream`] | statements in flight, the end of the stream, the host |
//! | [`role`] | whether the server accepts writes |

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

/// What is known of one connection. Shared by its stream, its instrumentation and its slot in the engine.
///
/// The atomics in it are written before the answer to a statement reaches the task that waits for it, and that answer
/// goes through a channel of the driver. `Relaxed` is enough: the channel orders the accesses.
#[derive(Debug, Default)]
pub struct Observed {
    reads_stream: bool,
    pub(crate) transaction: ObservedTransaction,
    pub(crate) session: ObservedSession,
    pub(crate) errors: ObservedErrors,
    pub(crate) stream: ObservedStream,
    pub(crate) role: ServerRole,
}

impl Observed {
    /// For a connection whose stream is read.
    #[cfg(feature = "postgres")]
    pub(super) fn of_stream() -> Self {
        Self { reads_stream: true, ..Self::default() }
    }

    /// Whether the stream of the connection is read, so that transactions and errors are known from the server.
    pub(crate) fn reads_stream(&self) -> bool {
        self.reads_stream
    }

    /// Whether a transaction may be open, by the statements that were run.
    pub(crate) fn may_be_in_transaction(&self) -> bool {
        self.session.effects().has_transaction() || self.transaction.is_autocommit_off()
    }

    /// Notes what a statement may leave behind.
    pub(crate) fn note_effects(&self, effects: Effects) {
        // Where the server reports transactions, the text of a statement does not count.
        let transaction = match self.reads_stream {
            true => TransactionEffect::None,
            false => effects.transaction,
        };
        self.session.note_effects(effects.session, transaction);
    }
}
