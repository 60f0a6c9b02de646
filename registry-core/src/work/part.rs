//! The transaction of a unit of work on one bind.

use std::any::Any;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::options::WorkOptions;
use super::outcome::WorkError;
use crate::backend::Backend;
use crate::backend::driver::{self, Driver};
use crate::backend::observed::ErrorClass;
use crate::bind::Bind;
use crate::bind_key::BindKey;
use crate::session::Session;

/// The transaction of a unit of work on one bind, whose type is not known.
pub(super) trait AnyPart: Send {
    fn key(&self) -> BindKey;

    /// The session, as [`Session`] of its bind.
    fn session(&mut self) -> &mut dyn Any;

    /// Whether the transaction is there.
    fn check(&mut self) -> Result<(), WorkError>;

    /// Whether it could be committed, as far as that can be known before.
    fn is_ready(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    /// Whether the connection broke, if that failed.
    fn commit(&mut self) -> BoxFuture<'_, Result<(), Broken>>;

    /// Whether the database was told. If not, the connection is closed.
    fn roll_back(&mut self) -> BoxFuture<'_, bool>;

    fn set_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    fn release_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    fn roll_back_to_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>>;

    /// Whether a statement has failed for a reason that may be gone a little later.
    fn has_failed_in_passing(&mut self) -> BoxFuture<'_, bool>;

    /// Rolls back in the background, or closes the connection.
    fn abandon(self: Box<Self>);
}

/// A commit failed.
pub(super) struct Broken {
    pub(super) error: DieselError,
    pub(super) class: Option<ErrorClass>,
    /// Whether it is known that nothing was committed.
    pub(super) is_rolled_back: bool,
}

/// A session with a transaction open.
pub(super) struct Part<B: Bind> {
    session: Session<B>,
    /// How deep in transactions the connection was before: in test isolation it is in some.
    base: u32,
    /// Whether something is to be undone on the connection when the transaction is over.
    has_entered: bool,
}

type Manager<B> = <<B as Bind>::Connection as AsyncConnection>::TransactionManager;

/// How many transactions are open on a connection, one in the other. None if nobody knows.
fn depth<B: Bind>(connection: &mut B::Connection) -> u32 {
    driver::depth(Manager::<B>::transaction_manager_status_mut(connection)).unwrap_or(0)
}

/// The statement that says in a transaction for which tenant it is, if the bind has a setting for that.
fn local_of<B: Bind>(session: &Session<B>) -> Option<String> {
    let (setting, tenant) = (session.options().tenant_setting.as_ref()?, session.loan().tenant()?);
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
        let sql = options.begin_sql(backend).map_err(|what| WorkError::Unsupported {
            key,
            backend,
            what,
        })?;
        let local = local_of(&session);
        let sql = match &local {
            Some(local) => format!("{sql}; {local}"),
            None => sql,
        };
        let read_only = options.is_read_only() && !session.options().read_only;
        session.loan().expect_no_failure();
        let left = session.loan().left();
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
            QueryResult::Ok(has_entered)
        };
        match begun.await {
            Ok(has_entered) => {
                // What was done to enter is undone at the end, and nothing for others to undo.
                session.loan().restore(left);
                Ok(Self { session, base, has_entered })
            }
            Err(source) => {
                let source = session.loan().in_words_of_server(source);
                session.loan_mut().discard();
                Err(WorkError::Begin { key, source })
            }
        }
    }

    /// How many of its transactions are open, one in the other.
    fn depth(&mut self) -> u32 {
        depth::<B>(&mut self.session).saturating_sub(self.base)
    }

    fn in_words_of_server(&self, outcome: QueryResult<()>) -> QueryResult<()> {
        outcome.map_err(|error| self.session.loan().in_words_of_server(error))
    }

    async fn end(&mut self) {
        if !std::mem::take(&mut self.has_entered) {
            return;
        }
        let left = self.session.loan().left();
        match B::Connection::leave_work(&mut *self.session).await {
            Ok(()) => self.session.loan().restore(left),
            Err(_) => self.session.loan_mut().discard(),
        }
    }

    /// Within the time that a check may take. A connection that cannot do it is closed, and its
    /// server rolls back.
    async fn rolled_back(&mut self) -> bool {
        if !self.session.loan_mut().is_fit() {
            // Nothing can be said on it that would be understood.
            self.session.loan_mut().discard();
            return false;
        }
        let limit = self.session.options().check_timeout;
        let rolled_back = timeout(limit, async {
            while self.depth() > 0 {
                Manager::<B>::rollback_transaction(&mut *self.session).await?;
            }
            self.end().await;
            QueryResult::Ok(())
        });
        let is_told = matches!(rolled_back.await, Ok(Ok(())));
        if !is_told {
            self.session.loan_mut().discard();
        }
        is_told
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
        let key = self.key();
        if !self.session.loan_mut().is_fit() {
            return Err(WorkError::CutShort { key });
        }
        let is_lost = self.session.loan().has_lost_transaction()
            || self.depth() == 0
            || B::Connection::is_outside_transaction(&mut *self.session);
        if is_lost { Err(WorkError::RolledBack { key }) } else { Ok(()) }
    }

    fn is_ready(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            if self.depth() != 1 {
                // Begun by hand or by Diesel, and its future was dropped: the database would commit a part.
                return Err(DieselError::BrokenTransactionManager);
            }
            if let Some(question) = B::Connection::IS_AS_BEGUN.filter(|_| self.base == 0) {
                let answered = self.session.batch_execute(question).await;
                return self.in_words_of_server(answered);
            }
            Ok(())
        })
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<(), Broken>> {
        Box::pin(async move {
            let committed = Manager::<B>::commit_transaction(&mut *self.session).await;
            match committed {
                Ok(()) => {
                    self.end().await;
                    Ok(())
                }
                Err(error) => {
                    // Diesel may have tried to roll back after it, and tells of both.
                    let error = match error {
                        DieselError::RollbackErrorOnCommit { commit_error, .. } => *commit_error,
                        error => error,
                    };
                    let error = self.session.loan().in_words_of_server(error);
                    let class = self.session.loan_mut().class_of(&error).await;
                    let is_rolled_back = !B::Connection::is_fatal(&error)
                        && !matches!(error, DieselError::BrokenTransactionManager);
                    if is_rolled_back {
                        self.rolled_back().await;
                    } else {
                        self.session.loan_mut().discard();
                    }
                    Err(Broken { error, class, is_rolled_back })
                }
            }
        })
    }

    fn roll_back(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(self.rolled_back())
    }

    fn set_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = Manager::<B>::begin_transaction(&mut *self.session).await;
            self.in_words_of_server(outcome)
        })
    }

    fn release_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = Manager::<B>::commit_transaction(&mut *self.session).await;
            self.in_words_of_server(outcome)
        })
    }

    fn roll_back_to_savepoint(&mut self) -> BoxFuture<'_, QueryResult<()>> {
        Box::pin(async move {
            let outcome = Manager::<B>::rollback_transaction(&mut *self.session).await;
            self.in_words_of_server(outcome)
        })
    }

    fn has_failed_in_passing(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(self.session.loan_mut().has_failed_in_passing())
    }

    fn abandon(mut self: Box<Self>) {
        // In test isolation, the next borrower deals with it. A statement that was cut short, or a
        // connection that is gone, is nothing to wait for.
        if self.base > 0 || !self.session.loan_mut().is_fit() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { self.rolled_back().await });
        }
    }
}
