//! The interface of a participant, the part of a unit of work on one bind, for the unit of work and its commit.

use std::any::Any;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use futures_util::future::BoxFuture;

use crate::backend::error_class::ErrorClass;
use crate::settings::BindKey;
use crate::token::Token;
use crate::work::error::WorkError;
use crate::work::outcome::WorkFailure;

/// The transaction of a unit of work on one bind, without the type of the bind.
///
/// The methods are in the order in which a unit of work calls them.
pub(crate) trait AnyParticipant: Send {
    fn key(&self) -> BindKey;

    /// The session, as a [`Session`](crate::session::Session) of its bind.
    fn session(&mut self) -> &mut dyn Any;

    /// Whether the transaction is still open, as far as that is known without asking the server.
    fn check_locally(&mut self) -> Result<(), WorkError>;

    /// Whether a statement since the last question to the server may have ended the transaction.
    fn must_ask_server(&self) -> bool;

    /// Asks the server whether the transaction is still open.
    fn ask_server(&mut self, verification: Verification) -> BoxFuture<'_, Result<(), WorkError>>;

    fn set_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    fn release_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    fn roll_back_to_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    /// If the last statement has failed and the driver does not report the error code, asks the server for the error.
    fn diagnose(&mut self) -> BoxFuture<'_, ()>;

    /// Whether a statement has failed for a transient reason.
    fn has_failed_transiently(&mut self) -> BoxFuture<'_, bool>;

    /// The error that reports the end of the transaction. `None` if it is not known to have ended.
    fn end_error(&self) -> Option<WorkError>;

    /// The class of the error after which the database has rolled the transaction back by itself. `None` if it has not.
    fn rollback_class(&self) -> Option<ErrorClass>;

    /// Checks whether the transaction can be committed, as far as that can be known before the commit. If the participant
    /// is one of several, asks the server in any case, because other participants may be committed before this one.
    fn check_before_commit(
        &mut self,
        is_one_of_several: bool,
    ) -> BoxFuture<'_, Result<(), CommitRefusal>>;

    fn commit(&mut self) -> BoxFuture<'_, Result<Token, CommitFailure>>;

    /// Rolls back, within the engine's `check_timeout`.
    fn roll_back(&mut self) -> BoxFuture<'_, RollbackOutcome>;

    /// Rolls back in a background task, or closes the connection.
    fn abandon(self: Box<Self>);
}

/// How to ask the server whether a transaction is still open, on MySQL and MariaDB, where a savepoint in the transaction
/// serves as its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Keeps the savepoints that the program has set itself. The check is weaker then: it may find the mark of a later
    /// transaction.
    KeepSavepoints,
    /// The answer is certain. Savepoints that the program has set since the last question to the server may be lost.
    Certain,
}

/// The reason why a transaction cannot be committed. No commit was sent.
pub(crate) struct CommitRefusal {
    pub(crate) failure: WorkFailure,
    pub(crate) class: Option<ErrorClass>,
}

impl<E: Into<WorkFailure>> From<E> for CommitRefusal {
    fn from(failure: E) -> Self {
        Self { failure: failure.into(), class: None }
    }
}

/// A commit was sent, and failed.
pub(crate) struct CommitFailure {
    pub(crate) error: DieselError,
    pub(crate) class: Option<ErrorClass>,
    /// Whether the database has answered that nothing was committed. If not, the commit is in doubt.
    pub(crate) is_rolled_back: bool,
}

/// The outcome of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RollbackOutcome {
    RolledBack,
    /// The database did not confirm the rollback in time. The connection is closed, and the server rolls back when it
    /// notices the disconnect.
    NotConfirmed,
    /// A statement of the program had ended the transaction before the rollback: the transaction may be committed.
    AlreadyEnded,
}
