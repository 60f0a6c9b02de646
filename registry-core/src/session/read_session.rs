//! A session that only reads.

use std::fmt;

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::SimpleAsyncConnection;
use tokio::time::timeout;

use super::Session;
use super::transaction::{
    HasSession, Lent, OpenTransaction, database_error, run_in_transaction, run_transaction,
};
use crate::async_func::AsyncFunc;
use crate::attribution::own;
use crate::backend::driver::Driver;
use crate::bind::Bind;
use crate::engine::{AnyEngine, ReadPlace, ReadTransaction};
use crate::settings::{DatabaseUrl, Role, TransactionOptions};

/// How often a transaction is begun until it is on the server that the session reads from: a pooler may lead to several.
const MAX_SERVERS: u32 = 16;

const ELSEWHERE: &str =
    "the pooler has led the transaction to another server than the one that the session reads from";

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
    /// It waits for the queries of `callback`, and for two round trips (behind a transaction pooler six, as the server is asked
    /// twice whether it is the one that the session reads from). If the future is dropped, the session stays in the
    /// snapshot, a further one on it fails, and the connection is closed when the session is dropped.
    ///
    /// # Errors
    ///
    /// The error of `callback`; Diesel's error if the transaction could not be begun or ended; and
    /// [`SerializationFailure`](diesel::result::DatabaseErrorKind::SerializationFailure) if a replica of PostgreSQL has cancelled
    /// it, or a transaction pooler leads to another server now, so that it can be run again.
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
        let Some(reading) = self.session.checkout().read_transaction() else {
            return run_transaction(self, Some(TransactionOptions::snapshot()), callback).await;
        };
        self.between_transactions("COMMIT").await?;
        let outcome = match self.begin_snapshot(reading.place).await {
            Ok(open) => run_in_transaction(self, open, callback).await,
            Err(error) => Err(error.into()),
        };
        let begun = self.read_again(reading).await;
        outcome.and_then(|value| Ok(begun.map(|()| value)?))
    }

    /// Begins the transaction of a snapshot behind a transaction pooler, where the session has read before.
    async fn begin_snapshot(&mut self, place: ReadPlace) -> QueryResult<OpenTransaction> {
        for _ in 0..MAX_SERVERS {
            let mut open = self.session.begin(Some(TransactionOptions::snapshot())).await?;
            let depth = self.session.depth()?;
            match self.is_at(place).await {
                Ok(true) => return Ok(open),
                found => {
                    self.session.roll_back(&mut open, depth).await;
                    found?;
                }
            }
        }
        Err(database_error(DatabaseErrorKind::SerializationFailure, ELSEWHERE))
    }

    /// Begins the transaction again that keeps the session from writing, where the session has read before.
    async fn read_again(&mut self, reading: ReadTransaction) -> QueryResult<()> {
        for _ in 0..MAX_SERVERS {
            self.between_transactions(reading.begin).await?;
            if self.is_at(reading.place).await? {
                return Ok(());
            }
            self.between_transactions("ROLLBACK").await?;
        }
        // Nothing keeps the session from writing, so it cannot be used any more.
        drop(Lent { on: self, is_settled: false });
        Err(database_error(DatabaseErrorKind::SerializationFailure, ELSEWHERE))
    }

    /// Whether the transaction that was begun just now is where it has to be. If there is no answer in time, the session
    /// cannot be used any more.
    async fn is_at(&mut self, place: ReadPlace) -> QueryResult<bool> {
        if matches!(place, ReadPlace::Anywhere) {
            return Ok(true);
        }
        let limit = self.session.options().check_timeout;
        let effects = self.session.checkout().session_effects();
        let mut lent = Lent { on: self, is_settled: false };
        let asking = own(B::Connection::server_state(&mut **lent.on.session_mut()));
        let Ok(answer) = timeout(limit, asking).await else {
            let message = "the pooler did not answer in time on which server the transaction is";
            return Err(database_error(DatabaseErrorKind::UnableToSendCommand, message));
        };
        lent.is_settled = answer.is_ok();
        drop(lent);
        self.session.checkout().restore_session_effects(effects);
        answer.map(|server| place.is_on(&server))
    }

    /// Ends or begins the transaction by which a session behind a pooler only reads. If it fails or is cut short, the
    /// connection is not lent again.
    async fn between_transactions(&mut self, statement: &str) -> QueryResult<()> {
        let effects = self.session.checkout().session_effects();
        let mut lent = Lent { on: self, is_settled: false };
        own(lent.on.session.batch_execute(statement)).await?;
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
