//! The transaction of a unit of work on one bind.

use std::any::Any;

use diesel::QueryResult;
use diesel::connection::{TransactionDepthChange, TransactionManagerStatus};
use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::error::{WorkError, WorkFailure};
use crate::backend::Backend;
use crate::backend::driver::Driver;
use crate::backend::error_class::ErrorClass;
use crate::backend::transaction_depth;
use crate::bind::Bind;
use crate::engine::{TransactionEnd, TransactionState};
use crate::session::Session;
use crate::settings::{BindKey, WorkOptions};

/// The transaction of a unit of work on one bind, whose type is not known.
pub(super) trait AnyPart: Send {
    fn key(&self) -> BindKey;

    /// The session, as [`Session`] of its bind.
    fn session(&mut self) -> &mut dyn Any;

    /// Whether the transaction is there, as far as is known without asking the server.
    fn check(&mut self) -> Result<(), WorkError>;

    /// Whether the server is to be asked as well.
    fn is_in_question(&self) -> bool;

    /// Asks the server whether the transaction is there. If that is to be found out for certain, savepoints that the
    /// program has set since it was last asked may be lost.
    fn ask(&mut self, is_certain: bool) -> BoxFuture<'_, Result<(), WorkError>>;

    /// Finds out what the error of the last statement means, if it has failed.
    fn diagnose(&mut self) -> BoxFuture<'_, ()>;

    /// How the transaction has ended, if that was found out.
    fn over(&self) -> Option<WorkError>;

    /// What the error meant after which the database has rolled it back by itself, if it has.
    fn class_of_rollback(&self) -> Option<ErrorClass>;

    /// Whether it could be committed, as far as that can be known before. Where others would be committed before it, the
    /// server is asked in any case: `is_one_of_several`.
    fn is_ready(&mut self, is_one_of_several: bool) -> BoxFuture<'_, Result<(), NotReady>>;

    /// Whether the connection broke, if that failed.
    fn commit(&mut self) -> BoxFuture<'_, Result<(), Broken>>;

    /// Rolls back, and says what came of it.
    fn roll_back(&mut self) -> BoxFuture<'_, Rollback>;

    fn set_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    fn release_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    fn roll_back_to_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    /// Whether a statement has failed for a reason that may be gone a little later.
    fn has_failed_in_passing(&mut self) -> BoxFuture<'_, bool>;

    /// Rolls back in the background, or closes the connection.
    fn abandon(self: Box<Self>);
}

/// Nothing could be committed.
pub(super) struct NotReady {
    pub(super) failure: WorkFailure,
    pub(super) class: Option<ErrorClass>,
}

impl<E: Into<WorkFailure>> From<E> for NotReady {
    fn from(failure: E) -> Self {
        Self { failure: failure.into(), class: None }
    }
}

/// A commit failed.
pub(super) struct Broken {
    pub(super) error: DieselError,
    pub(super) class: Option<ErrorClass>,
    /// Whether it is known that nothing was committed.
    pub(super) is_rolled_back: bool,
}

/// What came of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rollback {
    Done,
    /// The database could not be told, and the connection is closed.
    NotTold,
    /// The transaction had ended before, and may be committed.
    TooLate,
}

/// A session with a transaction open.
pub(super) struct Part<B: Bind> {
    session: Session<B>,
    /// How deep in transactions the connection was before: in test isolation it is in some.
    base: u32,
    /// Whether something is to be undone on the connection when the transaction is over.
    has_entered: bool,
    /// Whether the transaction is still the one that was begun.
    standing: TransactionState,
}

type Manager<B> = <<B as Bind>::Connection as AsyncConnection>::TransactionManager;

/// How many transactions are open on a connection, one in the other. None if nobody knows.
fn depth<B: Bind>(connection: &mut B::Connection) -> u32 {
    transaction_depth(Manager::<B>::transaction_manager_status_mut(connection)).unwrap_or(0)
}

/// The statement that says in a transaction for which tenant it is, if the bind has a setting for that.
fn local_of<B: Bind>(session: &Session<B>) -> Option<String> {
    let (setting, tenant) =
        (session.options().tenant_setting.as_ref()?, session.checkout().tenant()?);
    // Neither has a quote in it: see the settings, and the names of tenants.
    Some(format!("SELECT set_config('{setting}', '{tenant}', true)"))
}

impl<B: Bind> Part<B> {
    /// Begins a transaction, with `savepoints` in it.
    pub(super) async fn begin(
        mut session: Session<B>,
        options: &WorkOptions,
        savepoints: u32,
    ) -> Result<Self, WorkError> {
        let (key, backend) = (session.bind_key(), B::Connection::KIND);
        let sql = B::Connection::begin_sql(options).map_err(|what| WorkError::Unsupported {
            key,
            backend,
            what,
        })?;
        let local = local_of(&session);
        let mark = session.checkout().transaction_mark();
        let sql = [Some(&*sql), local.as_deref(), mark].into_iter().flatten();
        let sql = sql.collect::<Vec<_>>().join("; ");
        let read_only = options.is_read_only() && !session.options().read_only;
        session.checkout().forget_transient_failures();
        session.checkout().mark_in_work();
        let left = session.checkout().session_effects();
        let connection = &mut *session;
        let base = depth::<B>(connection);
        let begun = async {
            let mut has_entered = false;
            if base == 0 {
                has_entered = B::Connection::enter_work(connection, read_only).await?;
                B::Connection::begin(connection, &sql).await?;
            } else {
                Manager::<B>::begin_transaction(connection).await?;
                if let Some(local) = &local {
                    connection.batch_execute(local).await?;
                }
            }
            for _ in 0..savepoints {
                Manager::<B>::begin_transaction(connection).await?;
            }
            // In front of all savepoints, where it was not set with the beginning.
            if let Some(mark) = mark.filter(|_| base > 0 || savepoints > 0) {
                connection.batch_execute(mark).await?;
            }
            QueryResult::Ok(has_entered)
        };
        match begun.await {
            Ok(has_entered) => {
                // What was done to enter is undone at the end, and nothing for others to undo.
                session.checkout().restore_session_effects(left);
                let standing = session.checkout().track_transaction();
                Ok(Self { session, base, has_entered, standing })
            }
            Err(source) => {
                let source = session.checkout().with_server_message(source);
                session.checkout_mut().discard();
                Err(WorkError::Begin { key, source })
            }
        }
    }

    /// Why it cannot be committed, by an error of the question whether it can.
    async fn not_ready(&mut self, error: DieselError) -> NotReady {
        let error = self.session.checkout().with_server_message(error);
        let class = if B::Connection::is_fatal(&error) {
            Some(ErrorClass::Fatal)
        } else if self.session.checkout().has_transient_failure() {
            // PostgreSQL says of the transaction that it has failed, and not again why.
            Some(ErrorClass::Transient)
        } else {
            self.session.checkout_mut().error_class(&error).await
        };
        NotReady { failure: error.into(), class }
    }

    /// How many of its transactions are open, one in the other.
    fn depth(&mut self) -> u32 {
        depth::<B>(&mut self.session).saturating_sub(self.base)
    }

    fn told(&self, over: Option<TransactionEnd>) -> Result<(), WorkError> {
        let key = self.session.bind_key();
        match over {
            None => Ok(()),
            Some(TransactionEnd::RolledBack) => Err(WorkError::RolledBack { key }),
            Some(TransactionEnd::Ended) => Err(WorkError::Ended { key }),
        }
    }

    fn in_words_of_server(&self, outcome: QueryResult<()>) -> QueryResult<()> {
        outcome.map_err(|error| self.session.checkout().with_server_message(error))
    }

    /// After a change of savepoints: those that are newer than the mark would go when it is looked for.
    async fn marked(&mut self, outcome: QueryResult<()>) -> QueryResult<()> {
        if outcome.is_ok() {
            self.session.checkout_mut().set_transaction_mark().await;
        }
        self.in_words_of_server(outcome)
    }

    async fn end(&mut self) {
        if !std::mem::take(&mut self.has_entered) {
            return;
        }
        let left = self.session.checkout().session_effects();
        match B::Connection::leave_work(&mut *self.session).await {
            Ok(()) => self.session.checkout().restore_session_effects(left),
            Err(_) => self.session.checkout_mut().discard(),
        }
    }

    /// Within the time that a check may take. A connection that cannot do it is closed, and its
    /// server rolls back.
    async fn rolled_back(&mut self) -> Rollback {
        let limit = self.session.options().check_timeout;
        let mut is_told = false;
        self.session.checkout_mut().observed_end(&mut self.standing);
        if self.session.checkout_mut().is_usable() {
            let rolled_back = timeout(limit, async {
                self.diagnose().await;
                self.session.checkout_mut().find_end_for_certain(&mut self.standing).await?;
                match self.standing.end() {
                    None => self.roll_back_all().await?,
                    Some(_) => self.clear_up().await,
                }
                self.end().await;
                QueryResult::Ok(())
            });
            is_told = matches!(rolled_back.await, Ok(Ok(())));
        }
        let is_over = self.standing.end() == Some(TransactionEnd::Ended);
        if !is_told || is_over {
            // Nothing can be said on it that would be understood, or nobody knows what else was changed.
            self.session.checkout_mut().discard();
        }
        match (is_over, is_told) {
            (true, _) => Rollback::TooLate,
            (false, true) => Rollback::Done,
            (false, false) => Rollback::NotTold,
        }
    }

    async fn roll_back_all(&mut self) -> QueryResult<()> {
        let base = self.base;
        let status = Manager::<B>::transaction_manager_status_mut(&mut *self.session);
        // The savepoints in it go with it. One that is not there any more could not be rolled back to.
        while let TransactionManagerStatus::Valid(status) = &mut *status
            && status.transaction_depth().is_some_and(|depth| depth.get() > base + 1)
        {
            status.change_transaction_depth(TransactionDepthChange::DecreaseDepth)?;
        }
        while self.depth() > 0 {
            Manager::<B>::rollback_transaction(&mut *self.session).await?;
        }
        Ok(())
    }

    /// Rolls back what was begun after the transaction had ended.
    async fn clear_up(&mut self) {
        self.session.checkout().lift_rollback_guard();
        // An error where nothing was begun.
        let _ = self.session.batch_execute("ROLLBACK").await;
        *Manager::<B>::transaction_manager_status_mut(&mut *self.session) =
            TransactionManagerStatus::default();
        if self.base > 0 {
            // What the test had done before is gone as well.
            self.session.checkout_mut().discard();
        }
    }
}

impl<B: Bind> AnyPart for Part<B> {
    fn key(&self) -> BindKey {
        self.session.bind_key()
    }

    fn session(&mut self) -> &mut dyn Any {
        &mut self.session
    }

    fn check(&mut self) -> Result<(), WorkError> {
        let over = self.session.checkout_mut().observed_end(&mut self.standing);
        self.told(over)?;
        if !self.session.checkout_mut().is_usable() {
            return Err(WorkError::CutShort { key: self.key() });
        }
        if self.depth() == 0 {
            self.standing.note_ended();
        }
        self.told(self.standing.end())
    }

    fn is_in_question(&self) -> bool {
        let checkout = self.session.checkout();
        checkout.awaits_answer() || checkout.has_doubts(&self.standing)
    }

    fn ask(&mut self, is_certain: bool) -> BoxFuture<'_, Result<(), WorkError>> {
        Box::pin(async move {
            if is_certain {
                // A connection that is gone is noticed by what follows.
                let _ = self.session.checkout_mut().find_end_for_certain(&mut self.standing).await;
            } else {
                self.session.checkout_mut().find_end(&mut self.standing).await;
            }
            self.told(self.standing.end())
        })
    }

    fn diagnose(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let checkout = self.session.checkout_mut();
            if checkout.may_have_failed() {
                checkout.diagnose().await;
            }
        })
    }

    fn class_of_rollback(&self) -> Option<ErrorClass> {
        let is_rolled_back = self.standing.end() == Some(TransactionEnd::RolledBack);
        is_rolled_back.then(|| self.session.checkout().rollback_class())
    }

    fn over(&self) -> Option<WorkError> {
        self.told(self.standing.end()).err()
    }

    fn is_ready(&mut self, is_one_of_several: bool) -> BoxFuture<'_, Result<(), NotReady>> {
        Box::pin(async move {
            self.session.checkout_mut().observed_end(&mut self.standing);
            if let Some(error) =
                self.session.checkout().connection_closed_error().filter(|_| self.over().is_none())
            {
                return Err(self.not_ready(error).await);
            }
            self.check()?;
            let stands =
                self.session.checkout_mut().find_end_before_commit(&mut self.standing).await;
            if let Err(error) = stands {
                return Err(self.not_ready(error).await);
            }
            self.told(self.standing.end())?;
            if self.depth() != 1 {
                // Begun by hand or by Diesel, and its future was dropped: the database would commit a part.
                return Err(DieselError::BrokenTransactionManager.into());
            }
            let question = B::Connection::ABORTED_TRANSACTION_PROBE.filter(|_| self.base == 0);
            let is_asked = is_one_of_several || self.session.checkout().may_be_aborted();
            if let Some(question) = question.filter(|_| is_asked)
                && let Err(error) = self.session.batch_execute(question).await
            {
                return Err(self.not_ready(error).await);
            }
            Ok(())
        })
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<(), Broken>> {
        Box::pin(async move {
            let committed = Manager::<B>::commit_transaction(&mut *self.session).await;
            match committed {
                Ok(()) => {
                    self.session.checkout().lift_rollback_guard();
                    self.end().await;
                    Ok(())
                }
                Err(error) => {
                    // Diesel may have tried to roll back after it, and tells of both.
                    let error = match error {
                        DieselError::RollbackErrorOnCommit { commit_error, .. } => *commit_error,
                        error => error,
                    };
                    let error = self.session.checkout().with_server_message(error);
                    let class = self.session.checkout_mut().error_class(&error).await;
                    let is_rolled_back = !B::Connection::is_fatal(&error)
                        && !matches!(error, DieselError::BrokenTransactionManager);
                    self.standing.expect_end();
                    if is_rolled_back {
                        self.rolled_back().await;
                    } else {
                        self.session.checkout_mut().discard();
                    }
                    Err(Broken { error, class, is_rolled_back })
                }
            }
        })
    }

    fn roll_back(&mut self) -> BoxFuture<'_, Rollback> {
        Box::pin(self.rolled_back())
    }

    fn set_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = Manager::<B>::begin_transaction(&mut *self.session).await;
            self.marked(outcome).await
        })
    }

    fn release_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = Manager::<B>::commit_transaction(&mut *self.session).await;
            self.marked(outcome).await
        })
    }

    fn roll_back_to_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = Manager::<B>::rollback_transaction(&mut *self.session).await;
            self.marked(outcome).await
        })
    }

    fn has_failed_in_passing(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            self.diagnose().await;
            match self.class_of_rollback() {
                Some(class) => class.is_transient(),
                None => self.session.checkout().has_transient_failure(),
            }
        })
    }

    fn abandon(mut self: Box<Self>) {
        // In test isolation, the next borrower deals with it. A statement that was cut short, or a
        // connection that is gone, is nothing to wait for.
        if self.base > 0 || !self.session.checkout_mut().is_usable() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { self.rolled_back().await });
        }
    }
}
