//! The current unit of work of a task or a request.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use super::entered_future::Entered;
use super::work_lock::{CurrentWork, Slot, Taken};
use super::{Committed, Place, Source, UnitOfWork, WorkError, WorkOptions};
#[cfg(feature = "axum")]
use crate::bind::Bind;
use crate::error::Error;
#[cfg(feature = "axum")]
use crate::registry::Acquire;
use crate::registry::{Registry, Tenant};

tokio::task_local! {
    static CURRENT: Current;
}

/// Where a task is.
struct Current {
    scope: Scope,
    entered: Arc<Entered>,
}

/// The future that is polled and has entered a scope, if there is one.
pub(super) fn entered() -> Option<Arc<Entered>> {
    CURRENT.try_with(|current| Arc::clone(&current.entered)).ok()
}

/// Who owns a current unit of work: a task, a request, or whatever else enters it.
///
/// The unit of work is begun when it is first asked for, and shared by everything in the scope. What is
/// still open when the scope ends is rolled back. A scope in a scope has its own. A task that is spawned
/// has none, unless it is handed one: [`Scope::enter`].
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
    source: Source,
    options: WorkOptions,
    /// How long the unit of work is waited for, if somebody else in the scope has it.
    patience: Duration,
    slot: Slot,
    /// Where in the program it was made.
    made_at: Place,
    is_ended: AtomicBool,
}

impl Registry {
    /// Runs `future` in a scope of its own, and rolls back what it leaves open.
    ///
    /// Dropping it rolls back too, in the background.
    #[track_caller]
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        self.new_scope().run(future)
    }

    /// As [`scope`](Self::scope), with these options for its units of work.
    #[track_caller]
    pub fn scope_with<F: Future>(
        &self,
        options: WorkOptions,
        future: F,
    ) -> impl Future<Output = F::Output> {
        self.new_scope_with(options).run(future)
    }

    /// Runs `future` in a scope of its own; commits what it leaves open if it returns `Ok`, and
    /// rolls that back if it returns an error.
    ///
    /// # Errors
    ///
    /// What `future` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`]; [`WorkError::InUse`]
    /// if something that `future` has left behind, or returns, still has the unit of work.
    #[track_caller]
    pub fn try_scope<T, E: From<Error>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope().try_run(future)
    }

    /// As [`try_scope`](Self::try_scope), with these options for its units of work.
    ///
    /// # Errors
    ///
    /// As those of [`try_scope`](Self::try_scope).
    #[track_caller]
    pub fn try_scope_with<T, E: From<Error>>(
        &self,
        options: WorkOptions,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope_with(options).try_run(future)
    }

    /// A scope that nobody has entered yet, for those who enter it themselves.
    #[must_use]
    #[track_caller]
    pub fn new_scope(&self) -> Scope {
        self.new_scope_at(None, Location::caller())
    }

    /// As [`new_scope`](Self::new_scope), with these options for its units of work.
    ///
    /// If the options name keys that no bind has, what is first done with a unit of work is an error:
    /// [`WorkError::Keys`].
    #[must_use]
    #[track_caller]
    pub fn new_scope_with(&self, options: WorkOptions) -> Scope {
        self.new_scope_at(Some(options), Location::caller())
    }

    /// A scope that was asked for at that place, with those options or the registry's.
    pub(crate) fn new_scope_at(&self, options: Option<WorkOptions>, made_at: Place) -> Scope {
        let options = options.unwrap_or_else(|| self.work_options().clone());
        Scope::new(Source::Registry(self.clone()), options, made_at)
    }

    /// Scopes that are told apart by another key than the task: by what `key` returns, at each use.
    pub fn scopes_by<K: Eq + Hash>(
        &self,
        key: impl Fn() -> K + Send + Sync + 'static,
    ) -> Scopes<K> {
        Scopes { registry: self.clone(), key: Box::new(key), open: Mutex::default() }
    }
}

impl Tenant {
    /// Runs `future` in a scope whose unit of work is on the databases of this tenant: see
    /// [`Registry::scope`].
    #[track_caller]
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        self.new_scope().run(future)
    }

    /// As [`scope`](Self::scope), with these options for its units of work.
    #[track_caller]
    pub fn scope_with<F: Future>(
        &self,
        options: WorkOptions,
        future: F,
    ) -> impl Future<Output = F::Output> {
        self.new_scope_with(options).run(future)
    }

    /// Runs `future` in a scope whose unit of work is on the databases of this tenant: see
    /// [`Registry::try_scope`].
    ///
    /// # Errors
    ///
    /// As those of [`Registry::try_scope`].
    #[track_caller]
    pub fn try_scope<T, E: From<Error>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope().try_run(future)
    }

    /// As [`try_scope`](Self::try_scope), with these options for its units of work.
    ///
    /// # Errors
    ///
    /// As those of [`Registry::try_scope`].
    #[track_caller]
    pub fn try_scope_with<T, E: From<Error>>(
        &self,
        options: WorkOptions,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope_with(options).try_run(future)
    }

    /// A scope on the databases of this tenant that nobody has entered yet.
    #[must_use]
    #[track_caller]
    pub fn new_scope(&self) -> Scope {
        self.new_scope_at(None, Location::caller())
    }

    /// As [`new_scope`](Self::new_scope), with these options for its units of work: see
    /// [`Registry::new_scope_with`].
    #[must_use]
    #[track_caller]
    pub fn new_scope_with(&self, options: WorkOptions) -> Scope {
        self.new_scope_at(Some(options), Location::caller())
    }

    /// A scope that was asked for at that place, with those options or the registry's.
    pub(crate) fn new_scope_at(&self, options: Option<WorkOptions>, made_at: Place) -> Scope {
        let options = options.unwrap_or_else(|| self.registry().work_options().clone());
        Scope::new(Source::Tenant(self.clone()), options, made_at)
    }
}

impl UnitOfWork {
    /// The unit of work of the current scope, begun if it is not yet. Nobody else in the scope has
    /// it until what this returns is dropped; others wait for it, for `acquire_timeout` at the most.
    ///
    /// # Waiting for oneself
    ///
    /// A function that awaits another one while it has the unit of work must hand it on: if the other one asks for it
    /// as well, neither can go on. That is an error which is not transient, and which comes
    ///
    /// - after 100 ms, if nothing in the future that has entered the scope waits for anything else;
    /// - after 5 s, if nothing did when it began to wait: what does since then may be a time-out around it;
    /// - after `acquire_timeout` otherwise, since what else is waited for may belong to whoever has it, as in a
    ///   `join!` of two that each take it, use it and drop it. So it is if the one that asks is in an executor inside of
    ///   the future, such as `FuturesUnordered` or `buffer_unordered`; if it is in a scope that is not entered, by
    ///   [`Scope::work`] alone; and if it is in another task, which the future of the scope awaits while it has the unit
    ///   of work: nobody can tell a task that waits for another one from a task that waits for a server.
    ///
    /// In each case it is only so if whoever has the unit of work has not used it meanwhile. What was handed the unit of
    /// work should use it at once, since nobody can see that it was handed on before that: another task that does
    /// nothing with it for 100 ms is taken for the one that it was handed by, if that asks for it and waits for nothing
    /// else, and so is a future beside it, in a `join!`, which does nothing with it for 5 s.
    ///
    /// # Errors
    ///
    /// [`WorkError::NoScope`] outside of a scope; [`WorkError::InUse`] if somebody else in the scope has it for all of
    /// `acquire_timeout`, which is transient, or if the task would wait for itself, which is not. It is not transient
    /// either if the future that the scope runs has had it all the time, and has done nothing with it.
    #[track_caller]
    pub fn current() -> impl Future<Output = Result<CurrentWork, WorkError>> + Send {
        let at = Location::caller();
        async move { Scope::current()?.work_at(Some(at)).await }
    }
}

impl Scope {
    fn new(source: Source, options: WorkOptions, made_at: Place) -> Self {
        let patience = source.registry().default_acquire_timeout();
        let (slot, is_ended) = (Slot::default(), AtomicBool::new(false));
        Self(Arc::new(Shared { source, options, patience, slot, made_at, is_ended }))
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.0.slot
    }

    pub(super) fn is_ended(&self) -> bool {
        self.0.is_ended.load(Ordering::SeqCst)
    }

    /// The scope that the calling task is in.
    ///
    /// # Errors
    ///
    /// [`WorkError::NoScope`] if it is in none.
    pub fn current() -> Result<Self, WorkError> {
        CURRENT.try_with(|current| current.scope.clone()).map_err(|_| WorkError::NoScope)
    }

    /// The tenant whose databases its unit of work is on, if it is a scope of a tenant: see
    /// [`Tenant::scope`](crate::Tenant::scope).
    #[must_use]
    pub fn tenant(&self) -> Option<&Tenant> {
        match &self.0.source {
            Source::Tenant(tenant) => Some(tenant),
            Source::Registry(_) => None,
        }
    }

    /// Whether the calling task is in a scope of that registry, or of a tenant of it.
    pub(crate) fn is_current_of(registry: &Registry) -> bool {
        let is_of = |current: &Current| current.scope.0.source.registry().is_same_as(registry);
        CURRENT.try_with(is_of).unwrap_or(false)
    }

    /// The registry that it is of.
    #[cfg(feature = "axum")]
    pub(crate) fn registry(&self) -> &Registry {
        self.0.source.registry()
    }

    /// A session of the bind `B`, from where its unit of work has its own.
    #[cfg(feature = "axum")]
    pub(crate) fn session<B: Bind>(&self) -> Acquire<'_, B> {
        self.0.source.session()
    }

    /// Runs `future` in this scope. It does not end the scope.
    ///
    /// ```
    /// # use registry_core::{Scope, WorkError};
    /// # async fn example() -> Result<(), WorkError> {
    /// let scope = Scope::current()?;
    /// tokio::spawn(async move { scope.enter(async { /* in the same scope */ }).await });
    /// # Ok(())
    /// # }
    /// ```
    pub async fn enter<F: Future>(&self, future: F) -> F::Output {
        self.enter_with(future, |_| {}).await
    }

    /// Enters with the future that the scope runs.
    async fn enter_to_run<F: Future>(&self, future: F) -> F::Output {
        self.enter_with(future, |entered| self.slot().is_run_by(entered)).await
    }

    async fn enter_with<F: Future>(&self, future: F, entering: impl FnOnce(&Entered)) -> F::Output {
        let scope = self.clone();
        let outer =
            poll_fn(|cx| Poll::Ready(entered().filter(|entered| entered.is_woken_by(cx.waker()))));
        if let Some(entered) = outer.await {
            entering(&entered);
            return CURRENT.scope(Current { scope, entered }, future).await;
        }
        let entered = Entered::new();
        entering(&entered);
        let current = Current { scope, entered: Arc::clone(&entered) };
        entered.run(CURRENT.scope(current, future)).await
    }

    /// The unit of work of this scope: see [`UnitOfWork::current`].
    ///
    /// # Errors
    ///
    /// [`WorkError::InUse`], and [`WorkError::ScopeEnded`] after the end of the scope.
    #[track_caller]
    pub fn work(&self) -> impl Future<Output = Result<CurrentWork, WorkError>> + Send {
        self.work_at(Some(Location::caller()))
    }

    /// The unit of work, for who asks at that place, or for an argument of a handler.
    pub(crate) async fn work_at(&self, at: Option<Place>) -> Result<CurrentWork, WorkError> {
        let mut taken = self.taken(at).await?;
        if taken.is_none() {
            let Shared { source, options, slot, made_at, .. } = &*self.0;
            let began = at.unwrap_or(made_at);
            let mut unit = UnitOfWork::new(source.clone(), options.clone(), began);
            unit.is_acquiring = Arc::clone(&slot.is_acquiring);
            unit.scope_made = Some(made_at);
            *taken = Some(unit);
        }
        Ok(CurrentWork::new(taken, self.clone()))
    }

    /// Commits the unit of work of this scope, if there is one. The next that is asked for is a new one.
    ///
    /// # Errors
    ///
    /// [`Error::Commit`] says of each bind what became of it, and [`Error::Work`] as those of
    /// [`work`](Self::work).
    pub async fn commit(&self) -> Result<Committed, Error> {
        self.take_to_commit().await?.commit().await
    }

    /// Takes the unit of work out of the scope. The next that is asked for is a new one.
    pub(crate) async fn take_to_commit(&self) -> Result<ToCommit, WorkError> {
        Ok(ToCommit(self.taken(None).await?.take()))
    }

    /// Rolls the unit of work of this scope back, if there is one. The next that is asked for is a
    /// new one.
    ///
    /// # Errors
    ///
    /// [`WorkError`] as those of [`work`](Self::work) and of
    /// [`UnitOfWork::rollback`].
    pub async fn rollback(&self) -> Result<(), WorkError> {
        let unit = self.taken(None).await?.take();
        match unit {
            Some(unit) => unit.rollback().await,
            None => Ok(()),
        }
    }

    /// Ends the scope: rolls back what is open. Whoever still has the unit of work can no longer
    /// commit it.
    pub async fn end(&self) {
        self.0.is_ended.store(true, Ordering::SeqCst);
        // If somebody has it now, it is rolled back when it is given back.
        let unit = self.slot().try_take().and_then(|mut taken| taken.take());
        if let Some(unit) = unit {
            // What cannot be told is closed, and rolled back by its server.
            let _ = unit.rollback().await;
        }
    }

    /// Runs `future` in this scope, and ends it.
    pub(crate) async fn run<F: Future>(self, future: F) -> F::Output {
        let ends = Ends(self);
        let output = ends.0.enter_to_run(future).await;
        ends.0.end().await;
        output
    }

    async fn try_run<T, E: From<Error>>(
        self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let ends = Ends(self);
        let scope = &ends.0;
        let committed = scope.enter_to_run(async {
            let value = future.await?;
            // In here: what is returned may have the unit of work, and nothing else waits then.
            scope.commit().await?;
            Ok(value)
        });
        let outcome = committed.await;
        scope.end().await;
        outcome
    }

    /// The place of the unit of work, once nobody else has it.
    async fn taken(&self, at: Option<Place>) -> Result<Taken, WorkError> {
        let is_at_work = |task| self.0.source.registry().is_executing_in_work(task);
        let mut taken = self.slot().take(self.0.patience, at, is_at_work).await?;
        if self.is_ended() {
            // Whoever ended the scope found the place taken, and left this to whoever has it.
            drop(taken.take());
            return Err(WorkError::ScopeEnded);
        }
        Ok(taken)
    }
}

/// The unit of work of a scope, on its way to be committed.
pub(crate) struct ToCommit(Option<UnitOfWork>);

impl ToCommit {
    pub(crate) async fn commit(self) -> Result<Committed, Error> {
        Ok(match self.0 {
            Some(unit) => unit.commit().await?,
            None => Committed { keys: Vec::new() },
        })
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("is_ended", &self.0.is_ended).finish_non_exhaustive()
    }
}

/// Ends a scope that is dropped before its end.
struct Ends(Scope);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.0.is_ended.store(true, Ordering::SeqCst);
        if let Some(mut taken) = self.0.slot().try_take() {
            // Dropped: rolled back in the background.
            drop(taken.take());
        }
    }
}

/// Scopes by a key that is not the task: see [`Registry::scopes_by`].
///
/// Each is there from its first use until it is [removed](Self::remove).
pub struct Scopes<K> {
    registry: Registry,
    key: Box<dyn Fn() -> K + Send + Sync>,
    open: Mutex<HashMap<K, Scope>>,
}

impl<K: Eq + Hash> Scopes<K> {
    /// The scope of the current key, made if there is none yet.
    #[must_use]
    #[track_caller]
    pub fn current(&self) -> Scope {
        let key = (self.key)();
        let made_at = Location::caller();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || self.registry.new_scope_at(None, made_at);
        open.entry(key).or_insert_with(new).clone()
    }

    /// Ends the scope of the current key: rolls back what is open, and forgets it.
    pub async fn remove(&self) {
        let key = (self.key)();
        let scope = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        if let Some(scope) = scope {
            scope.end().await;
        }
    }
}

impl<K> fmt::Debug for Scopes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Scopes").field("open", &open.len()).finish_non_exhaustive()
    }
}
