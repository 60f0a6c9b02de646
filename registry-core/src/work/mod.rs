//! Transactions over several databases.
//!
//! ```
//! use diesel::prelude::*;
//! use registry_core::{Error, Registry, RunQueryDsl, bind_tables};
//!
//! diesel::table! { users (id) { id -> Integer, } }
//! diesel::table! { events (id) { id -> Integer, } }
//! bind_tables!(db = "default", backend = Sqlite; users);
//! bind_tables!(db = "analytics", backend = Sqlite; events);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! # let registry = Registry::builder()
//! #     .bind("default", "sqlite::memory:").bind("analytics", "sqlite::memory:").build()?;
//! # use registry_core::BindDsl;
//! # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
//! # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
//! # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
//! # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
//! registry
//!     .transaction(async |work| {
//!         diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut *work).await?;
//!         diesel::insert_into(events::table).values(events::id.eq(1)).execute(work).await?;
//!         Ok::<_, Error>(())
//!     })
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`UnitOfWork`] begins with nothing. A bind's session is acquired, and its transaction begun,
//! the first time that the bind is asked for: by a query with `&mut work` as its executor, or by
//! [`session_for`](UnitOfWork::session_for).
//! [`commit`](UnitOfWork::commit) and [`rollback`](UnitOfWork::rollback) are of all that were touched, and
//! [`savepoint`](UnitOfWork::savepoint) nests over all of them. A [`Scope`] gives a task, or a request, a current one.
//!
//! # What is atomic, and what is not
//!
//! - On one database, a unit of work is a transaction of that database, with all that it promises.
//! - Over several, nothing is visible anywhere before the commit, and all of it is rolled back if
//!   anything goes wrong before: on an error, a panic, a future that is dropped, a process that
//!   dies.
//! - **The commit itself is not atomic.** The databases commit one after another, in the order of
//!   their first touch, in that of [`commit_in_order`](UnitOfWork::commit_in_order), or in that of
//!   [`WorkOptions::commit_order`]. A key that no bind has is an error there, and nothing is committed. For that
//!   moment, others may see one database committed and the next one not yet. If a commit fails,
//!   those before it are committed and stay so, and those after it are rolled back.
//! - Before the first commit, each transaction is looked at: one that PostgreSQL has aborted, that
//!   a deadlock has ended on MySQL, that a statement of the program has ended, or in which a savepoint is unfinished,
//!   fails the whole unit of work while none of the others is committed. What databases only notice at the commit (deferred
//!   constraints, serialization failures) can still fail in between: give such a database the first
//!   place.
//! - [`CommitError`] says of each bind whether it is committed, failed, rolled back, ended or in doubt, as
//!   data. It is in doubt if the connection broke during the commit: the server may have heard it
//!   or not. Nothing after it is committed then.
//! - A process that dies between two commits leaves the first committed and the second rolled back,
//!   and nobody is told.
//!
//! [`transaction_with`](Registry::transaction_with) runs a closure again after transient failures, as often as
//! [`WorkOptions::retries`] says, and never after a commit that may have happened.
//!
//! SQLAlchemy's session commits over several binds in the same way; in no defined order, and
//! without saying how far it has come
//! (<https://docs.sqlalchemy.org/en/20/orm/persistence_techniques.html>).
//!
//! # In the terms of each backend
//!
//! | [`WorkOptions`] | PostgreSQL | MySQL, MariaDB | SQLite |
//! |---|---|---|---|
//! | none | `BEGIN` | `START TRANSACTION` | `BEGIN IMMEDIATE` |
//! | `isolation` | `BEGIN ISOLATION LEVEL ..` | `SET TRANSACTION ISOLATION LEVEL ..` before it | serializable, or an error |
//! | `read_only` | `BEGIN READ ONLY` | `START TRANSACTION READ ONLY` | `BEGIN`, with `PRAGMA query_only` |
//! | `deferrable` | `BEGIN DEFERRABLE` | an error | an error |
//!
//! On SQLite, a transaction that reads first and writes later fails with "database is locked" if
//! another connection has written in between, whatever `busy_timeout` says
//! (<https://www.sqlite.org/rescode.html#busy_snapshot>). So one that may write takes the lock at
//! once.
//!
//! Two binds that name one SQLite file cannot both be written in one unit of work: the second waits
//! for the first.
//!
//! On MySQL and MariaDB, tables of engines without transactions (MyISAM, Aria, MEMORY) take part in none: what is written
//! to them is stored at once and stays so, and a rollback passes over it and is no error. The server says so in a warning
//! alone (1196).
//!
//! # Transactions that a statement ends
//!
//! A `COMMIT` or `ROLLBACK` in SQL of the program's own ends the transaction behind the back of the unit of work, and
//! so does every statement of MySQL that commits implicitly: `TRUNCATE`, `CREATE INDEX`, `LOCK TABLES`, a procedure that
//! commits. What was done before may be committed then, and what follows is in no transaction or in another one. So the
//! bind is refused at its next use ([`WorkError::Ended`]), `commit` rolls the other binds back and says
//! [`Outcome::Ended`] of this one, and `rollback` is an error as well.
//!
//! | | how it is noticed |
//! |---|---|
//! | PostgreSQL | the server reports each statement and the status after it, in the stream that is read along |
//! | PostgreSQL by a Unix socket | a setting that is local to the transaction is looked for, after statements that may end one |
//! | MySQL, MariaDB | a savepoint in the transaction is looked for, after statements that are not known to leave it alone, and before the commit |
//! | SQLite | SQLite is asked on its thread, with a savepoint around what may end one transaction and begin another |
//!
//! # Errors in a transaction
//!
//! A statement that fails on PostgreSQL aborts the transaction: put it in a savepoint if the work
//! is to go on. A deadlock on MySQL rolls the whole transaction back, and so does `OR ROLLBACK` on SQLite, and what follows
//! would be committed one by one: after it, the unit of work is refused ([`WorkError::RolledBack`]). What is run on its
//! session all the same is not stored: SQLite does not run it, and MySQL has it in a transaction that is rolled back.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::async_func::AsyncFunc;
use crate::backend::error_class::ErrorClass;
use crate::bind::{Bind, Bound};
use crate::error::Error;
use crate::registry::{Acquire, Registry, Tenant};
use crate::session::Session;
use crate::settings::BindKey;

mod begin;
mod entered_future;

mod error;
mod participant;
mod scope;
mod sessions_for;
mod work_lock;

pub use error::{CommitError, Committed, Outcome, WorkError, WorkFailure};
pub use scope::{Scope, Scopes};
pub use sessions_for::Several;
pub use work_lock::CurrentWork;

#[doc(no_inline)]
pub use crate::settings::{Isolation, WorkOptions, WrongKeys};

use participant::{AnyPart, NotReady, Part, Rollback};

/// One transaction over as many databases as it touches.
///
/// It begins with nothing. The first time that a bind is asked for, its session is acquired and a
/// transaction begun on it; after that it is the same session.
#[must_use = "a unit of work that is dropped is rolled back"]
pub struct UnitOfWork {
    source: Source,
    options: WorkOptions,
    /// Where in the program it was begun.
    began: Place,
    /// Where the scope was made that it is the unit of work of.
    scope_made: Option<Place>,
    /// Set while a session is acquired for it.
    is_acquiring: Arc<AtomicBool>,
    /// In the order in which they were touched.
    parts: Vec<Box<dyn AnyPart>>,
    /// How many savepoints are open, one in the other.
    level: u32,
    is_abandoned: bool,
    /// Whether the program has said what is to become of it.
    is_ending: bool,
    /// Whether a bind could not be had or begun, for a reason that may be gone a little later.
    has_failed_in_passing: bool,
}

/// A place in the program.
type Place = &'static Location<'static>;

/// Where sessions come from.
#[derive(Clone)]
enum Source {
    Registry(Registry),
    Tenant(Tenant),
}

impl Source {
    fn registry(&self) -> &Registry {
        match self {
            Self::Registry(registry) => registry,
            Self::Tenant(tenant) => tenant.registry(),
        }
    }

    fn session<B: Bind>(&self) -> Acquire<'_, B> {
        match self {
            Self::Registry(registry) => registry.session::<B>(),
            Self::Tenant(tenant) => tenant.session::<B>(),
        }
    }
}

impl UnitOfWork {
    fn new(source: Source, options: WorkOptions, began: Place) -> Self {
        Self {
            source,
            options,
            began,
            scope_made: None,
            is_acquiring: Arc::default(),
            parts: Vec::new(),
            level: 0,
            is_abandoned: false,
            is_ending: false,
            has_failed_in_passing: false,
        }
    }

    /// The session of the model, table or query type `M`, in a transaction: acquired and begun if
    /// this is the first time.
    ///
    /// Dropping the future changes nothing, unless it was the first time: then it is as if it had
    /// not been.
    ///
    /// # Errors
    ///
    /// [`WorkError`] if no session can be had or no transaction begun; what was touched before is as it was.
    pub async fn session_for<M: Bound>(&mut self) -> Result<&mut Session<M::Bind>, WorkError> {
        self.session::<M::Bind>().await
    }

    /// The session of the bind `B`, in a transaction: see [`session_for`](Self::session_for).
    ///
    /// # Errors
    ///
    /// As those of [`session_for`](Self::session_for).
    pub async fn session<B: Bind>(&mut self) -> Result<&mut Session<B>, WorkError> {
        let at = self.touch::<B>().await?;
        let part = &mut self.parts[at];
        let key = part.key();
        match part.session().downcast_mut() {
            Some(session) => Ok(session),
            None => Err(WorkError::Twice { key }),
        }
    }

    /// The sessions of several models of different binds at once:
    /// `let (events, users) = work.sessions_for::<(Event, User)>().await?`.
    ///
    /// # Errors
    ///
    /// As those of [`session_for`](Self::session_for), and [`WorkError::Twice`] if two are of one bind.
    pub async fn sessions_for<S: Several>(&mut self) -> Result<S::Sessions<'_>, WorkError> {
        S::sessions(self).await
    }

    /// The keys of the binds that were touched, in that order.
    pub fn touched(&self) -> impl Iterator<Item = BindKey> + '_ {
        self.parts.iter().map(|part| part.key())
    }

    /// Commits every bind that was touched, in the order of their first touch.
    ///
    /// One after another: it is not atomic over several databases. Whether each could be committed,
    /// as far as that can be known, is looked at before the first is. If one fails all the same,
    /// those before it are committed and stay so, and those after it are rolled back.
    ///
    /// Dropping the future leaves those committed that are, and rolls the others back; of the one
    /// that was at it, nobody knows.
    ///
    /// # Errors
    ///
    /// [`CommitError`] says of each bind what became of it.
    pub async fn commit(mut self) -> Result<Committed, CommitError> {
        let order = std::mem::take(&mut self.options).into_commit_order();
        self.commit_in_order(&order).await
    }

    /// Commits in the order of these keys, and those that are not among them after that, in the
    /// order of their first touch. Keys that were not touched are passed over. It goes before that of
    /// [`WorkOptions::commit_order`].
    ///
    /// # Errors
    ///
    /// As those of [`commit`](Self::commit). If no bind has one of the keys, or one is there twice, nothing is
    /// committed, and [`CommitError::wrong_keys`] names them: whoever gives an order needs it.
    pub async fn commit_in_order<K: AsRef<str>>(
        mut self,
        keys: &[K],
    ) -> Result<Committed, CommitError> {
        self.is_ending = true;
        if let Err(wrong_keys) =
            WrongKeys::check_commit_order(keys, self.source.registry().bind_keys())
        {
            let mut error = self.not_committed(Vec::new(), None).await;
            error.wrong_keys = Some(wrong_keys);
            return Err(error);
        }
        let place = |part: &dyn AnyPart| {
            keys.iter().position(|key| part.key() == *key.as_ref()).unwrap_or(usize::MAX)
        };
        // Stable: the rest stays as it is.
        self.parts.sort_by_key(|part| place(&**part));
        let ready = self.is_ready().await;
        if let Err((failed, NotReady { failure, class })) = ready {
            let class = class.or_else(|| self.parts.get(failed)?.class_of_rollback());
            let outcome = match failure {
                WorkFailure::Work(WorkError::Ended { .. }) => Outcome::Ended,
                failure => Outcome::Failed(failure),
            };
            let failed = (failed, outcome, class);
            return Err(self.not_committed(Vec::new(), Some(failed)).await);
        }
        let mut committed = Vec::new();
        while !self.parts.is_empty() {
            let part = &mut self.parts[0];
            match part.commit().await {
                Ok(()) => {
                    committed.push(part.key());
                    self.parts.remove(0);
                }
                Err(broken) => {
                    let outcome = if broken.is_rolled_back {
                        Outcome::Failed(broken.error.into())
                    } else {
                        Outcome::InDoubt(broken.error)
                    };
                    let failed = (0, outcome, broken.class);
                    return Err(self.not_committed(committed, Some(failed)).await);
                }
            }
        }
        Ok(Committed { keys: committed })
    }

    /// Whether all can be committed, or which cannot. What comes later may still fail.
    async fn is_ready(&mut self) -> Result<(), (usize, NotReady)> {
        let over = |part: &dyn AnyPart| part.over();
        let over = self.parts.iter().enumerate().find_map(|(at, part)| Some((at, over(&**part)?)));
        if let Some((at, error)) = over {
            return Err((at, error.into()));
        }
        // A level that was not left is that of a savepoint whose future was dropped, or panicked.
        if self.is_abandoned || self.level > 0 {
            return Err((0, WorkError::Abandoned.into()));
        }
        let is_one_of_several = self.parts.len() > 1;
        for (at, part) in self.parts.iter_mut().enumerate() {
            part.is_ready(is_one_of_several).await.map_err(|failure| (at, failure))?;
        }
        Ok(())
    }

    /// Rolls back what is left.
    async fn not_committed(
        mut self,
        committed: Vec<BindKey>,
        mut failed: Option<(usize, Outcome, Option<ErrorClass>)>,
    ) -> CommitError {
        let mut binds: Vec<_> =
            committed.into_iter().map(|key| (key, Outcome::Committed)).collect();
        let mut class = None;
        for (at, part) in self.parts.iter_mut().enumerate() {
            let rollback = part.roll_back().await;
            let own = failed.take_if(|(failed, ..)| *failed == at);
            let own = own.map(|(_, outcome, own_class)| {
                class = own_class;
                outcome
            });
            let outcome = match (own, rollback) {
                (Some(Outcome::InDoubt(error)), _) => Outcome::InDoubt(error),
                (_, Rollback::TooLate) => Outcome::Ended,
                (Some(own), _) => own,
                (None, Rollback::Done | Rollback::NotTold) => Outcome::RolledBack,
            };
            binds.push((part.key(), outcome));
        }
        self.parts.clear();
        CommitError { binds, class, wrong_keys: None }
    }

    /// Rolls back every bind that was touched.
    ///
    /// It waits for the databases, for `check_timeout` each at the most. Dropping the future, as
    /// dropping the unit of work itself, leaves the rest to the background.
    ///
    /// # Errors
    ///
    /// All binds are rolled back that can be, whatever becomes of the others. Then
    /// [`WorkError::Ended`] with the first bind whose transaction the program had ended itself: what was done before that
    /// may be committed. Else [`WorkError::NotTold`] with the first bind that could not be told, as its
    /// connection is gone or silent. Its connection is closed, and its server rolls back when it notices.
    pub async fn rollback(mut self) -> Result<(), WorkError> {
        self.is_ending = true;
        let (mut ended, mut not_told) = (None, None);
        for part in &mut self.parts {
            let key = part.key();
            match part.roll_back().await {
                Rollback::Done => {}
                Rollback::TooLate => ended = ended.or(Some(WorkError::Ended { key })),
                Rollback::NotTold => not_told = not_told.or(Some(WorkError::NotTold { key })),
            }
        }
        self.parts.clear();
        ended.or(not_told).map_or(Ok(()), Err)
    }

    /// Runs `work` between savepoints of all databases: what it has done is kept if it returns
    /// `Ok`, and undone if it returns an error, in those databases as well that it was the first to
    /// touch.
    ///
    /// If it panics, or the future is dropped, the unit of work can only be rolled back.
    ///
    /// # Errors
    ///
    /// What `work` returns, and [`WorkError`] if a savepoint cannot be set, released or rolled back
    /// to.
    pub async fn savepoint<'a, T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
            + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        T: Send + 'a,
    {
        let told = |error: WorkError| E::from(error.into());
        if self.is_abandoned {
            return Err(told(self.why_abandoned()));
        }
        // Until the end is reached.
        self.is_abandoned = true;
        for part in &mut self.parts {
            let key = part.key();
            // The mark is set anew with the savepoint, and must not be set in another transaction.
            check(&mut **part, true).await.map_err(told)?;
            let set = part.set_savepoint().await;
            set.map_err(|source| told(WorkError::Savepoint { key, source }))?;
        }
        self.level += 1;
        self.is_abandoned = false;
        let outcome = work(self).await;
        if self.is_abandoned {
            return outcome.and(Err(told(self.why_abandoned())));
        }
        self.is_abandoned = true;
        self.level -= 1;
        for part in &mut self.parts {
            let key = part.key();
            if outcome.is_err() {
                // While the server still knows.
                part.diagnose().await;
            }
            if let Err(error) = check(&mut **part, true).await {
                return outcome.and(Err(told(error)));
            }
            let ended = match &outcome {
                Ok(_) => part.release_savepoint().await,
                Err(_) => part.roll_back_to_savepoint().await,
            };
            if let Err(source) = ended {
                // The caller's own error is what matters, if there is one.
                return outcome.and(Err(told(WorkError::Savepoint { key, source })));
            }
        }
        self.is_abandoned = false;
        outcome
    }

    /// Why nothing more can be done.
    fn why_abandoned(&self) -> WorkError {
        self.parts.iter().find_map(|part| part.over()).unwrap_or(WorkError::Abandoned)
    }

    /// Sees to it that the bind `B` has a transaction, and returns its place among the parts.
    async fn touch<B: Bind>(&mut self) -> Result<usize, WorkError> {
        let touched = self.try_touch::<B>().await;
        if let Err(error) = &touched {
            self.has_failed_in_passing |= error.is_transient();
        }
        touched
    }

    async fn try_touch<B: Bind>(&mut self) -> Result<usize, WorkError> {
        if self.is_abandoned {
            return Err(self.why_abandoned());
        }
        if let Some(at) = self.parts.iter_mut().position(|part| part.key() == *B::KEY) {
            check(&mut *self.parts[at], false).await?;
            return Ok(at);
        }
        self.options.check_keys(self.source.registry().bind_keys())?;
        let acquiring = Acquiring::new(&self.is_acquiring);
        let session = self.source.session::<B>().await?;
        drop(acquiring);
        let options = self.options.for_key(session.bind_key());
        let part = Part::begin(session, options, self.level).await?;
        self.parts.push(Box::new(part));
        Ok(self.parts.len() - 1)
    }

    /// Whether anything has failed in it for a reason that may be gone a little later.
    async fn has_failed_in_passing(&mut self) -> bool {
        for part in &mut self.parts {
            self.has_failed_in_passing |= part.has_failed_in_passing().await;
        }
        self.has_failed_in_passing
    }
}

/// Whether a transaction is there. If that is to be `is_certain`, savepoints that the program has set may be lost.
async fn check(part: &mut dyn AnyPart, is_certain: bool) -> Result<(), WorkError> {
    part.check()?;
    match part.is_in_question() {
        true => part.ask(is_certain).await,
        false => Ok(()),
    }
}

impl Drop for UnitOfWork {
    fn drop(&mut self) {
        if !self.is_ending && !self.parts.is_empty() {
            let (touched, began) = (Touched(&self.parts), self.began);
            let scope = self.scope_made.map(tracing::field::display);
            tracing::debug!(
                target: "registry",
                %touched,
                %began,
                scope,
                "a unit of work was dropped without a commit or a rollback, and is rolled back"
            );
        }
        self.parts.drain(..).for_each(|part| part.abandon());
    }
}

/// Says that a session is acquired, until it is dropped.
struct Acquiring<'a>(&'a AtomicBool);

impl<'a> Acquiring<'a> {
    fn new(says: &'a AtomicBool) -> Self {
        says.store(true, Ordering::Relaxed);
        Self(says)
    }
}

impl Drop for Acquiring<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The keys of the binds that were touched, as a list.
struct Touched<'a>(&'a [Box<dyn AnyPart>]);

impl fmt::Display for Touched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            write!(f, "`{}`", part.key())?;
        }
        Ok(())
    }
}

impl fmt::Debug for UnitOfWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let touched: Vec<BindKey> = self.touched().collect();
        f.debug_struct("UnitOfWork").field("touched", &touched).finish_non_exhaustive()
    }
}
