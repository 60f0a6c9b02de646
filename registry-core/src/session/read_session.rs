//! A session that only reads.

use std::fmt;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::SimpleAsyncConnection;

use super::Session;
use super::transaction::{HasSession, Lent, run_transaction};
use crate::async_func::AsyncFunc;
use crate::bind::Bind;
use crate::engine::AnyEngine;
use crate::settings::{DatabaseUrl, Role, TransactionOptions};

/// One connection for queries that only read, checked out of its engine for as long as the value lives.
///
/// [`Reader::session_for`](crate::Reader::session_for) and its sibling acquire one. A query that writes, or that locks rows,
/// does not compile on `&mut session`, and the server refuses what the compiler cannot see. So the session does not
/// dereference to its connection, on which every statement could be run.
///
/// All its queries read from one server, so one of them never sees an older state than those before it. With
/// [`snapshot`](Self::snapshot), all see the same state.
///
/// Dropping it returns the connection to its engine, as it does for a [`Session`].
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "analytics", backend = Sqlite; events);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let mut session = registry.reader().session_for::<events::table>().await?;
/// let count: i64 = events::table.count().get_result(&mut session).await?;
/// let ids: Vec<i32> = events::table.select(events::id).load(&mut session).await?;
/// assert_eq!((count, ids), (0, vec![]));
/// # Ok(())
/// # }
/// ```
pub struct ReadSession<B: Bind> {
    session: Session<B>,
}

impl<B: Bind> ReadSession<B> {
    pub(crate) fn new(session: Session<B>) -> Self {
        Self { session }
    }

    /// The bind key of the session's database.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, binds};
    /// # binds! { Analytics: Sqlite = "analytics"; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.reader().session::<Analytics>().await?;
    /// assert_eq!(session.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn key(&self) -> &str {
        self.session.key()
    }

    /// The URL of the server that the session reads from. As text, it has no password.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, binds};
    /// # binds! { Analytics: Sqlite = "analytics"; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.reader().session::<Analytics>().await?;
    /// assert_eq!(session.url().to_string(), "sqlite::memory:");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &AnyEngine::settings(&**self.session.checkout().engine()).url
    }

    /// Whether the session reads from the primary or from a replica.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, Role, binds};
    /// # binds! { Analytics: Sqlite = "analytics"; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.reader().session::<Analytics>().await?;
    /// assert_eq!(session.role(), Role::Primary);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn role(&self) -> Role {
        AnyEngine::settings(&**self.session.checkout().engine()).role
    }

    /// Runs `callback` in a transaction that only reads, so that all its queries see the same state of the database: a list
    /// and its total agree, and a report adds up.
    ///
    /// The state is that of the first query of `callback`. The transaction is `REPEATABLE READ, READ ONLY` on PostgreSQL,
    /// MySQL and MariaDB, and a read transaction on SQLite. It ends with `callback`, also if that returns an error or
    /// panics, and the session is usable after an error. Inside of a snapshot, another one is a savepoint in it.
    ///
    /// An open snapshot has costs: PostgreSQL keeps the row versions that it may still see, a replica delays or cancels
    /// it (`max_standby_streaming_delay`), and SQLite's log grows. So wait for nothing but queries in `callback`.
    ///
    /// It waits for the queries of `callback`, and for two round trips. If the future is dropped, the session stays in the
    /// snapshot, a further one on it fails, and the connection is closed when the session is dropped.
    ///
    /// # Errors
    ///
    /// The error of `callback`; Diesel's error if the transaction could not be begun or ended; and
    /// [`SerializationFailure`](diesel::result::DatabaseErrorKind::SerializationFailure) if a replica of PostgreSQL has cancelled
    /// it, so that it can be run again.
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let mut session = registry.reader().session_for::<events::table>().await?;
    /// let (total, ids) = session
    ///     .snapshot(async |session| {
    ///         let total: i64 = events::table.count().get_result(&mut *session).await?;
    ///         let ids: Vec<i32> = events::table.select(events::id).load(session).await?;
    ///         diesel::QueryResult::Ok((total, ids))
    ///     })
    ///     .await?;
    /// assert_eq!(total as usize, ids.len());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn snapshot<'a, R, E, F>(&mut self, callback: F) -> Result<R, E>
    where
        for<'r> F: AsyncFnOnce(&'r mut Self) -> Result<R, E>
            + AsyncFunc<&'r mut Self, Result<R, E>, Fut: Send>
            + Send
            + 'a,
        E: From<DieselError> + Send + 'a,
        R: Send + 'a,
    {
        if self.session.has_begun()? {
            return run_transaction(self, None, callback).await;
        }
        let begin = self.session.checkout().read_transaction();
        if begin.is_some() {
            self.between_transactions("COMMIT").await?;
        }
        let outcome = run_transaction(self, Some(TransactionOptions::snapshot()), callback).await;
        if let Some(begin) = begin {
            let begun = self.between_transactions(begin).await;
            return outcome.and_then(|value| Ok(begun.map(|()| value)?));
        }
        outcome
    }

    /// Ends or begins the transaction by which a session behind a pooler only reads. If it fails or is cut short, the
    /// connection is not lent again.
    async fn between_transactions(&mut self, statement: &str) -> QueryResult<()> {
        let effects = self.session.checkout().session_effects();
        let mut lent = Lent { on: self, is_settled: false };
        lent.on.session.batch_execute(statement).await?;
        lent.is_settled = true;
        drop(lent);
        self.session.checkout().restore_session_effects(effects);
        Ok(())
    }

    pub(crate) fn inner(&self) -> &Session<B> {
        &self.session
    }

    pub(crate) fn inner_mut(&mut self) -> &mut Session<B> {
        &mut self.session
    }

    pub(crate) fn into_inner(self) -> Session<B> {
        self.session
    }
}

impl<B: Bind> HasSession for ReadSession<B> {
    type Bind = B;

    fn session_mut(&mut self) -> &mut Session<B> {
        &mut self.session
    }
}

impl<B: Bind> fmt::Debug for ReadSession<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadSession").field("key", &self.key()).finish_non_exhaustive()
    }
}
