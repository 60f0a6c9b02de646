//! A transaction of a session with an isolation level and an access mode of its own.

use std::fmt;

use diesel::result::Error as DieselError;

use super::Session;
use super::transaction::run_transaction;
use crate::async_func::AsyncFunc;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::backend::TransactionModes;
use crate::bind::Bind;
#[cfg(feature = "sqlite")]
use crate::settings::SqliteLock;
use crate::settings::TransactionOptions;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::settings::{Access, Isolation};

/// A transaction with options, made by [`Session::build_transaction`].
///
/// The methods of a bind are those that its database has; others do not compile:
///
/// | method | PostgreSQL | MySQL, MariaDB | SQLite |
/// |---|---|---|---|
/// | `read_committed`, `repeatable_read`, `serializable` | yes | yes | |
/// | `read_only`, `read_write` | yes | yes | |
/// | `deferrable`, `not_deferrable` | yes | | |
/// | `immediate`, `exclusive` | | | yes |
///
/// What is not set is left to the database, and to the defaults of the session.
#[must_use = "a transaction is only begun by `run`"]
pub struct TransactionBuilder<'s, B: Bind> {
    session: &'s mut Session<B>,
    options: TransactionOptions,
}

impl<B: Bind> Session<B> {
    /// A transaction with an isolation level and an access mode: set them, and call [`run`](TransactionBuilder::run).
    ///
    /// It replaces the method of diesel-async's `AsyncPgConnection`, and hands out the session in place of the bare
    /// connection. [`TransactionBuilder`] lists the options of each database. Nothing is sent before `run`.
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use registry_core::{Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let mut session = registry.session_for::<events::table>().await?;
    /// # diesel::sql_query("CREATE TABLE events (id INTEGER PRIMARY KEY)").execute(&mut session).await?;
    /// session
    ///     .build_transaction()
    ///     .immediate()
    ///     .run(async |session| {
    ///         diesel::insert_into(events::table).values(events::id.eq(1)).execute(session).await
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_, B> {
        TransactionBuilder { session: self, options: TransactionOptions::default() }
    }
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl<B: Bind<Connection: TransactionModes>> TransactionBuilder<'_, B> {
    /// Each statement sees what was committed before it.
    pub fn read_committed(self) -> Self {
        self.isolation(Isolation::ReadCommitted)
    }

    /// All statements see one snapshot.
    pub fn repeatable_read(self) -> Self {
        self.isolation(Isolation::RepeatableRead)
    }

    /// The transaction fails unless its effect is that of transactions which run one after the other. The error is Diesel's
    /// [`SerializationFailure`](diesel::result::DatabaseErrorKind::SerializationFailure), at the latest from the commit, and the
    /// transaction should then be run again.
    pub fn serializable(self) -> Self {
        self.isolation(Isolation::Serializable)
    }

    fn isolation(mut self, isolation: Isolation) -> Self {
        self.options.isolation = Some(isolation);
        self
    }

    /// The database refuses writes in the transaction.
    pub fn read_only(mut self) -> Self {
        self.options.access = Some(Access::ReadOnly);
        self
    }

    /// The database takes writes in the transaction, though transactions of the session are read-only by default.
    pub fn read_write(mut self) -> Self {
        self.options.access = Some(Access::ReadWrite);
        self
    }
}

#[cfg(feature = "postgres")]
impl<B: Bind<Connection = crate::backend::Postgres>> TransactionBuilder<'_, B> {
    /// A transaction that is serializable and read-only waits at its beginning for a snapshot with which it cannot fail
    /// later. It has no effect on other transactions.
    pub fn deferrable(mut self) -> Self {
        self.options.deferrable = Some(true);
        self
    }

    /// The opposite of [`deferrable`](Self::deferrable), which may be the default of the session.
    pub fn not_deferrable(mut self) -> Self {
        self.options.deferrable = Some(false);
        self
    }
}

#[cfg(feature = "sqlite")]
impl<B: Bind<Connection = crate::backend::Sqlite>> TransactionBuilder<'_, B> {
    /// The transaction takes the lock for writes at its beginning, and waits for other writers then, for `busy_timeout` at
    /// most. Without it, a transaction that reads first and writes later may fail with "database is locked".
    pub fn immediate(mut self) -> Self {
        self.options.lock = Some(SqliteLock::Immediate);
        self
    }

    /// As [`immediate`](Self::immediate); and where the file is not in WAL mode, nobody else reads it either.
    pub fn exclusive(mut self) -> Self {
        self.options.lock = Some(SqliteLock::Exclusive);
        self
    }
}

impl<B: Bind> TransactionBuilder<'_, B> {
    /// Runs `callback` in the transaction, and returns its result, with the promises of [`Session::transaction`]: `Ok` means
    /// that the transaction was committed; if `callback` returns an error, it was rolled back.
    ///
    /// It waits for `callback` and for the server. Dropping the future leaves the transaction open, and the connection is
    /// closed when the session is dropped, so the server rolls back. Later transactions of the session fail with
    /// [`BrokenTransactionManager`](DieselError::BrokenTransactionManager).
    ///
    /// # Errors
    ///
    /// Those of [`Session::transaction`], and [`AlreadyInTransaction`](DieselError::AlreadyInTransaction) inside another
    /// transaction of the session, before anything is sent: a savepoint has no options. A transaction that the program has
    /// begun with SQL of its own counts as well, as far as it is known: PostgreSQL over TCP and SQLite tell, and elsewhere a
    /// `BEGIN` is noticed if it is a statement by itself. (In the test isolation of
    /// [`Registry::test_isolation`](crate::Registry::test_isolation) each session is in the transaction of the test. There it is a
    /// savepoint, and the options have no effect.)
    pub async fn run<'a, R, E, F>(self, callback: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Session<B>) -> Result<R, E>
            + AsyncFunc<&'r mut Session<B>, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<DieselError> + Send + 'a,
        R: Send + 'a,
    {
        let Self { session, options } = self;
        run_transaction(session, Some(options), callback).await
    }
}

impl<B: Bind> fmt::Debug for TransactionBuilder<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}
