//! A scope: the task or request that owns a current unit of work.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;

use super::current_work::CurrentWork;
use super::deadlock::DeadlockDetector;
use super::error::WorkError;
use super::outcome::Committed;
use super::scope_records::ScopeRecords;
use super::session_factory::SessionFactory;
use super::unit_of_work::{CallSite, UnitOfWork};
use super::work_lock::{WorkGuard, WorkLock};
#[cfg(feature = "axum")]
use crate::bind::Bind;
use crate::engine::WriterId;
use crate::error::Error;
#[cfg(feature = "axum")]
use crate::registry::Acquire;
use crate::registry::{Registry, Tenant};
use crate::settings::WorkOptions;
use crate::telemetry::{RecordOptions, RecordedQueries};
use crate::token::Token;

tokio::task_local! {
    static CURRENT: Scope;
}

/// Owns a current unit of work, for a task, a request or any other future that enters the scope.
///
/// The first call of [`UnitOfWork::current`] begins the unit of work. All code in the scope shares it, one user at a
/// time. The end of the scope rolls back a unit of work that is still open. A scope inside of a scope has its own unit of
/// work. A spawned task is in no scope, unless it [enters](Self::enter) a scope that it was given.
///
/// [`Registry::scope`] and [`Registry::try_scope`] run a future in a scope, and end the scope; with the feature `axum`,
/// `ScopeLayer` does so for each request. Cloning a scope is cheap, and the clone is the same scope.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{BindDsl, Error, Registry, RunQueryDsl, Scope, UnitOfWork, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "default", backend = Sqlite; events);
///
/// async fn note(id: i32) -> Result<(), Error> {
///     let mut work = UnitOfWork::current().await?;
///     diesel::insert_into(events::table).values(events::id.eq(id)).execute(&mut *work).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// registry
///     .scope(async {
///         note(1).await?;
///         Scope::current()?.commit().await?;
///         note(2).await // rolled back at the end
///     })
///     .await?;
/// let ids: Vec<i32> = events::table.select(events::id).load(&registry).await?;
/// assert_eq!(ids, [1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Scope(Arc<Shared>);

struct Shared {
    sessions: SessionFactory,
    options: WorkOptions,
    lock: Arc<WorkLock>,
    /// Identifies the units of work of the scope where writers take turns.
    writer: WriterId,
    records: ScopeRecords,
    /// The call site that made the scope.
    made_at: CallSite,
}

impl Scope {
    pub(super) fn new(sessions: SessionFactory, options: WorkOptions, made_at: CallSite) -> Self {
        let lock = Arc::new(WorkLock::new(sessions.registry().default_acquire_timeout()));
        let records = ScopeRecords::new(sessions.registry());
        let writer = WriterId::new();
        Self(Arc::new(Shared { sessions, options, lock, writer, records, made_at }))
    }

    /// The scope that the calling task is in: the innermost one, if there are several.
    ///
    /// # Errors
    ///
    /// [`WorkError::NoScope`] if the calling task is in no scope.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, Scope, WorkError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// assert!(matches!(Scope::current(), Err(WorkError::NoScope)));
    /// registry.scope(async { assert!(Scope::current().is_ok()) }).await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn current() -> Result<Self, WorkError> {
        CURRENT.try_with(Self::clone).map_err(|_| WorkError::NoScope)
    }

    /// The tenant whose databases the unit of work uses. `None` if this is a scope of a registry: see
    /// [`Tenant::scope`](crate::Tenant::scope).
    ///
    /// ```
    /// # use registry_core::{Error, Registry, Scope};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite:///srv/{tenant}.db").build()?;
    /// assert!(registry.new_scope().tenant().is_none());
    /// let scope = registry.tenant("acme")?.new_scope();
    /// assert_eq!(scope.tenant().map(|tenant| tenant.name()), Some("acme"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tenant(&self) -> Option<&Tenant> {
        self.0.sessions.tenant()
    }

    /// Whether the calling task is in a scope of `registry`, or in a scope of one of its tenants.
    pub(crate) fn is_current_of(registry: &Registry) -> bool {
        let is_of = |scope: &Scope| scope.0.sessions.registry().is_same_as(registry);
        CURRENT.try_with(is_of).unwrap_or(false)
    }

    /// The registry of the scope.
    #[cfg(feature = "axum")]
    pub(crate) fn registry(&self) -> &Registry {
        self.0.sessions.registry()
    }

    /// A session of the bind `B`, in the same database as the unit of work, but outside of its transaction.
    #[cfg(feature = "axum")]
    pub(crate) fn session<B: Bind>(&self) -> Acquire<'_, B> {
        self.0.sessions.session()
    }

    /// Runs `future` in this scope, and does not end the scope. By this method, another task that was given the scope
    /// shares its unit of work.
    ///
    /// Dropping the returned future drops `future`, and does not change the scope.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, Scope, WorkError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// registry
    ///     .try_scope(async {
    ///         let scope = Scope::current()?;
    ///         let task = tokio::spawn(async move {
    ///             assert!(Scope::current().is_err()); // a spawned task is in no scope ..
    ///             scope.enter(async { assert!(Scope::current().is_ok()) }).await // .. until it enters one
    ///         });
    ///         task.await.expect("no panic");
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn enter<F: Future>(&self, future: F) -> F::Output {
        self.enter_with(future, |_| {}).await
    }

    /// Enters the scope with the future that the scope runs. The end of that future is the end of the scope.
    async fn enter_to_run<F: Future>(&self, future: F) -> F::Output {
        // In a box: each of the futures around it would be as large as the program's future.
        let future = self.0.writer.run(Box::pin(future));
        self.enter_with(future, |detector| self.0.lock.set_scope_future(detector)).await
    }

    async fn enter_with<F: Future>(
        &self,
        future: F,
        on_enter: impl FnOnce(&DeadlockDetector),
    ) -> F::Output {
        let future = self.0.records.enter(CURRENT.scope(self.clone(), future));
        // A scope that is entered inside of another scope shares its detector: the outer future progresses or is stuck
        // as a whole.
        let outer = poll_fn(|cx| Poll::Ready(DeadlockDetector::current_for(cx.waker())));
        if let Some(detector) = outer.await {
            on_enter(&detector);
            return future.await;
        }
        let detector = DeadlockDetector::new();
        on_enter(&detector);
        detector.run(future).await
    }

    /// The unit of work of this scope, begun if the scope has none yet. For a task that has a handle to the scope and has
    /// not entered it; otherwise as [`UnitOfWork::current`].
    ///
    /// # Errors
    ///
    /// [`WorkError::InUse`] as for [`UnitOfWork::current`], and [`WorkError::ScopeEnded`] after the end of the scope.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let scope = registry.new_scope();
    /// let mut work = scope.work().await?;
    /// diesel::insert_into(events::table).values(events::id.eq(1)).execute(&mut *work).await?;
    /// drop(work);
    /// scope.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn work(&self) -> impl Future<Output = Result<CurrentWork, WorkError>> + Send {
        self.work_at(Some(Location::caller()))
    }

    /// The unit of work. `at` is the call site of the request, or `None` for an argument of an axum handler.
    pub(crate) async fn work_at(&self, at: Option<CallSite>) -> Result<CurrentWork, WorkError> {
        let Shared { sessions, options, lock, writer, records, made_at } = &*self.0;
        let mut guard = self.lock(at).await?;
        if guard.is_none() {
            let begun_at = at.unwrap_or(made_at);
            let unit = UnitOfWork::new(sessions.clone(), options.clone(), begun_at);
            *guard = Some(unit.in_scope(
                made_at,
                lock.acquiring_flag().clone(),
                *writer,
                records.clone(),
            ));
        }
        Ok(CurrentWork::new(guard, Arc::clone(lock)))
    }

    /// Commits the unit of work of this scope, if there is one. The next request begins a new unit of work.
    ///
    /// The future waits until no other user holds the unit of work, as [`work`](Self::work) does, and then for the
    /// databases. Waits for databases, and the effect of dropping the future, are as for [`UnitOfWork::commit`].
    ///
    /// # Errors
    ///
    /// [`Error::Commit`] with the outcome of each bind, or [`Error::Work`] with the errors of [`work`](Self::work).
    ///
    /// ```
    /// # use registry_core::{Error, Registry, Scope};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// registry
    ///     .scope(async {
    ///         // ..
    ///         let committed = Scope::current()?.commit().await?;
    ///         assert!(committed.keys.is_empty(), "no bind was touched");
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn commit(&self) -> Result<Committed, Error> {
        self.take_to_commit().await?.commit().await
    }

    /// The position of everything that this scope has written so far and committed: reads
    /// [after](crate::Reader::after) the token see it. Reads of the scope itself are after it without being told.
    /// That is what a task in the scope has written or committed, on any session and in any unit of work, and everything that
    /// was written on sessions that were acquired in the scope. The token that a request has brought is in it, too: see `ScopeLayer::read_your_writes`.
    ///
    /// The primaries are asked for positions that are not known yet: of what was not written by a unit of work. It waits
    /// for that as long as for a session, `acquire_timeout` at most. Where there is no answer, the token says that the
    /// position is not known, and reads after it go to the primary. Binds without replicas have no part in the token.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, Scope};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let token = registry.scope(async { Scope::current()?.commit().await?; Ok::<_, Error>(Scope::current()?.token().await) }).await?;
    /// assert!(token.is_empty(), "the bind has no replicas");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn token(&self) -> Token {
        let limit = self.0.sessions.registry().default_acquire_timeout();
        self.0.records.writes.placed_token(limit).await
    }

    /// What was written for this scope.
    #[cfg(feature = "axum")]
    pub(crate) fn writes(&self) -> &crate::registry::ScopeWrites {
        &self.0.records.writes
    }

    /// The queries that were run in this scope, from the oldest to the newest: by the tasks that are in it, on sessions that were
    /// acquired in it, and in its units of work. A query in a scope inside of this one is a query of both.
    ///
    /// Scopes record in debug builds, unless [`RegistryBuilder::record_queries`](crate::RegistryBuilder::record_queries)
    /// says otherwise; in release builds only if that or [`record_queries`](Self::record_queries) asks for it. `BEGIN`,
    /// `COMMIT`, `ROLLBACK` and savepoints are not recorded. A query is recorded when it has ended, and a stream of rows
    /// when it was read to its end or dropped. [`assert_queries!`](crate::assert_queries) checks the number.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, Scope, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let builder = Registry::builder().record_queries(true);
    /// # let registry = builder.bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// registry
    ///     .try_scope(async {
    ///         events::table.select(events::id).load::<i32>(&registry).await?;
    ///         let queries = Scope::current()?.queries();
    ///         assert_eq!(queries[0].statement.as_ref(), "SELECT `events`.`id` FROM `events`");
    ///         assert_eq!((queries.len(), queries[0].rows), (1, Some(0)));
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn queries(&self) -> RecordedQueries {
        self.0.records.telemetry.queries()
    }

    /// Records the queries of this scope from now on, with these options, or with `false` none of them.
    ///
    /// ```
    /// # use registry_core::Registry;
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let scope = registry.new_scope();
    /// scope.record_queries(true);
    /// assert!(scope.queries().is_recording());
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn record_queries(&self, options: impl Into<RecordOptions>) {
        self.0.records.telemetry.set_options(options.into());
    }

    /// Sets a tag of the statements of this scope from now on, if the registry asks for it:
    /// [`SqlTags::route`](crate::SqlTags::route), [`controller`](crate::SqlTags::controller) and
    /// [`scope_tag`](crate::SqlTags::scope_tag). A tag that is not asked for has no effect, an empty value removes the tag,
    /// and one of more than 256 bytes is left out. `ScopeLayer::route` sets the tag for each request.
    ///
    /// The statements are those of the tasks in the scope, and those on sessions that were acquired in it. In a scope inside
    /// of this one, its own tags win.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, Scope, SqlTags};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let builder = Registry::builder().bind("default", "sqlite::memory:");
    /// let registry = builder.sql_tags(SqlTags::new().scope_tag("job")).build()?;
    /// registry
    ///     .try_scope(async {
    ///         Scope::current()?.set_tag("job", "invoices"); // .. /*job='invoices'*/
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn set_tag(&self, key: &str, value: impl Into<String>) {
        self.0.records.telemetry.set_tag(key, value.into());
    }

    /// What is known of the queries of this scope.
    #[cfg(feature = "axum")]
    pub(crate) fn telemetry(&self) -> &crate::telemetry::ScopeTelemetry {
        &self.0.records.telemetry
    }

    /// Takes the unit of work out of the scope, so that it can be committed without the scope. The next request begins a
    /// new unit of work.
    pub(crate) async fn take_to_commit(&self) -> Result<DetachedWork, WorkError> {
        Ok(DetachedWork(self.lock(None).await?.take()))
    }

    /// Rolls back the unit of work of this scope, if there is one. The next request begins a new unit of work.
    ///
    /// The future waits until no other user holds the unit of work, as [`work`](Self::work) does, and then for the databases, as
    /// [`UnitOfWork::rollback`] does.
    ///
    /// # Errors
    ///
    /// The errors of [`work`](Self::work) and of [`UnitOfWork::rollback`].
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, Scope, UnitOfWork, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; events);
    /// # async fn note(id: i32) -> Result<(), Error> {
    /// #     let mut work = UnitOfWork::current().await?;
    /// #     diesel::insert_into(events::table).values(events::id.eq(id)).execute(&mut *work).await?;
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// registry
    ///     .try_scope(async {
    ///         note(1).await?;
    ///         Scope::current()?.rollback().await?;
    ///         note(2).await
    ///     })
    ///     .await?;
    /// assert_eq!(events::table.select(events::id).load::<i32>(&registry).await?, [2]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rollback(&self) -> Result<(), WorkError> {
        let unit = self.lock(None).await?.take();
        match unit {
            Some(unit) => unit.rollback().await,
            None => Ok(()),
        }
    }

    /// Ends the scope: rolls back an open unit of work. Later requests to the scope fail with [`WorkError::ScopeEnded`].
    ///
    /// If a user holds the unit of work at this moment, the unit of work can no longer be committed, and is rolled back
    /// as soon as the user drops it. Otherwise the future waits for the rollback, as [`UnitOfWork::rollback`] does. If the
    /// future is dropped, the rollback continues in the background.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, WorkError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let scope = registry.new_scope();
    /// drop(scope.work().await?);
    /// scope.end().await;
    /// assert!(matches!(scope.work().await, Err(WorkError::ScopeEnded)));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn end(&self) {
        if let Some(unit) = self.0.lock.close() {
            // The error is ignored. The connection of a participant that does not confirm the rollback is closed, and its
            // server rolls back when it notices the disconnect.
            let _ = unit.rollback().await;
        }
    }

    /// Runs `future` in this scope, and ends the scope.
    pub(crate) async fn run<F: Future>(self, future: F) -> F::Output {
        let guard = EndGuard(self);
        let output = guard.0.enter_to_run(future).await;
        guard.0.end().await;
        output
    }

    /// Runs `future` in this scope, commits if it returns `Ok`, and ends the scope.
    pub(super) async fn try_run<T, E: From<Error>>(
        self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let guard = EndGuard(self);
        let scope = &guard.0;
        let committed = scope.enter_to_run(async {
            let value = future.await?;
            // Inside of the scope: if the value of `future` holds the unit of work, the detector of the scope reports a
            // deadlock.
            scope.commit().await?;
            Ok(value)
        });
        let outcome = committed.await;
        scope.end().await;
        outcome
    }

    async fn lock(&self, at: Option<CallSite>) -> Result<WorkGuard, WorkError> {
        let is_at_statement = |task| self.0.sessions.registry().is_executing_in_work(task);
        self.0.lock.lock(at, is_at_statement).await
    }
}

/// A unit of work that was taken out of a scope for its commit.
pub(crate) struct DetachedWork(Option<UnitOfWork>);

impl DetachedWork {
    pub(crate) async fn commit(self) -> Result<Committed, Error> {
        Ok(match self.0 {
            Some(unit) => unit.commit().await?,
            None => Committed { keys: Vec::new(), token: Token::default() },
        })
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("is_ended", &self.0.lock.is_closed()).finish_non_exhaustive()
    }
}

/// Ends the scope if its future is dropped before its end, or panics.
struct EndGuard(Scope);

impl Drop for EndGuard {
    fn drop(&mut self) {
        // The drop of the unit of work rolls it back in the background.
        drop(self.0.0.lock.close());
    }
}
