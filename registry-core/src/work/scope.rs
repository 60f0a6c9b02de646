//! The current unit of work of a task or a request.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::{Committed, Source, UnitOfWork, WorkError, WorkOptions};
use crate::error::Error;
use crate::registry::Registry;
use crate::tenant::Tenant;
#[cfg(feature = "axum")]
use crate::{bind::Bind, session::Acquire};

tokio::task_local! {
    static CURRENT: Scope;
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
    work: Arc<Mutex<Option<UnitOfWork>>>,
    is_ended: AtomicBool,
}

impl Registry {
    /// Runs `future` in a scope of its own, and rolls back what it leaves open.
    ///
    /// Dropping it rolls back too, in the background.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        self.new_scope().run(future).await
    }

    /// Runs `future` in a scope of its own; commits what it leaves open if it returns `Ok`, and
    /// rolls that back if it returns an error.
    ///
    /// # Errors
    ///
    /// What `future` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`].
    pub async fn try_scope<T, E: From<Error>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.new_scope().try_run(future).await
    }

    /// A scope that nobody has entered yet, for those who enter it themselves.
    #[must_use]
    pub fn new_scope(&self) -> Scope {
        Scope::new(Source::Registry(self.clone()))
    }

    /// Scopes that are told apart by another key than the task: by what `key` returns, at each use.
    pub fn scopes_by<K: Eq + Hash>(
        &self,
        key: impl Fn() -> K + Send + Sync + 'static,
    ) -> Scopes<K> {
        Scopes { registry: self.clone(), key: Box::new(key), open: StdMutex::default() }
    }
}

impl Tenant {
    /// Runs `future` in a scope whose unit of work is on the databases of this tenant: see
    /// [`Registry::scope`].
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        self.new_scope().run(future).await
    }

    /// Runs `future` in a scope whose unit of work is on the databases of this tenant: see
    /// [`Registry::try_scope`].
    ///
    /// # Errors
    ///
    /// What `future` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`].
    pub async fn try_scope<T, E: From<Error>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.new_scope().try_run(future).await
    }

    /// A scope on the databases of this tenant that nobody has entered yet.
    #[must_use]
    pub fn new_scope(&self) -> Scope {
        Scope::new(Source::Tenant(self.clone()))
    }
}

impl UnitOfWork {
    /// The unit of work of the current scope, begun if it is not yet. Nobody else in the scope has
    /// it until what this returns is dropped; others wait for it.
    ///
    /// # Errors
    ///
    /// [`WorkError::NoScope`] outside of a scope; [`WorkError::InUse`] if somebody else in the scope has it for
    /// all of `acquire_timeout`, which may be the same task.
    pub async fn current() -> Result<CurrentWork, WorkError> {
        Scope::current()?.work().await
    }
}

impl Scope {
    fn new(source: Source) -> Self {
        let registry = source.registry();
        Self(Arc::new(Shared {
            options: registry.work_options().clone(),
            patience: registry.acquire_timeout(),
            source,
            work: Arc::default(),
            is_ended: AtomicBool::new(false),
        }))
    }

    /// The scope that the calling task is in.
    ///
    /// # Errors
    ///
    /// [`WorkError::NoScope`] if it is in none.
    pub fn current() -> Result<Self, WorkError> {
        CURRENT.try_with(Clone::clone).map_err(|_| WorkError::NoScope)
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
        CURRENT.scope(self.clone(), future).await
    }

    /// The unit of work of this scope: see [`UnitOfWork::current`].
    ///
    /// # Errors
    ///
    /// [`WorkError::InUse`], and [`WorkError::ScopeEnded`] after the end of the scope.
    pub async fn work(&self) -> Result<CurrentWork, WorkError> {
        let mut place = self.place().await?;
        if place.is_none() {
            let unit = UnitOfWork::new(self.0.source.clone(), self.0.options.clone());
            *place = Some(unit);
        }
        Ok(CurrentWork { place: Some(place), scope: self.clone() })
    }

    /// Commits the unit of work of this scope, if there is one. The next that is asked for is a new one.
    ///
    /// # Errors
    ///
    /// [`Error::Commit`] says of each bind what became of it, and [`Error::Work`] as those of
    /// [`work`](Self::work).
    pub async fn commit(&self) -> Result<Committed, Error> {
        let unit = self.place().await?.take();
        Ok(match unit {
            Some(unit) => unit.commit().await?,
            None => Committed { keys: Vec::new() },
        })
    }

    /// Rolls the unit of work of this scope back, if there is one. The next that is asked for is a
    /// new one.
    ///
    /// # Errors
    ///
    /// [`WorkError`] as those of [`work`](Self::work) and of
    /// [`UnitOfWork::rollback`].
    pub async fn rollback(&self) -> Result<(), WorkError> {
        let unit = self.place().await?.take();
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
        let unit = self.0.work.try_lock().ok().and_then(|mut place| place.take());
        if let Some(unit) = unit {
            // What cannot be told is closed, and rolled back by its server.
            let _ = unit.rollback().await;
        }
    }

    /// Runs `future` in this scope, and ends it.
    pub(crate) async fn run<F: Future>(self, future: F) -> F::Output {
        let ends = Ends(self);
        let output = ends.0.enter(future).await;
        ends.0.end().await;
        output
    }

    async fn try_run<T, E: From<Error>>(
        self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let ends = Ends(self);
        let output = ends.0.enter(future).await;
        let committed = match &output {
            Ok(_) => ends.0.commit().await.map(drop),
            Err(_) => Ok(()),
        };
        ends.0.end().await;
        let value = output?;
        committed.map_err(E::from)?;
        Ok(value)
    }

    /// The place of the unit of work, once nobody else has it.
    async fn place(&self) -> Result<OwnedMutexGuard<Option<UnitOfWork>>, WorkError> {
        let after = self.0.patience;
        let place = timeout(after, Arc::clone(&self.0.work).lock_owned()).await;
        let mut place = place.map_err(|_| WorkError::InUse { after })?;
        if self.0.is_ended.load(Ordering::SeqCst) {
            // Whoever ended the scope found the place taken, and left this to whoever has it.
            drop(place.take());
            return Err(WorkError::ScopeEnded);
        }
        Ok(place)
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
        if let Ok(mut place) = self.0.0.work.try_lock() {
            // Dropped: rolled back in the background.
            drop(place.take());
        }
    }
}

/// The unit of work of a scope, in the hands of one user: see [`UnitOfWork::current`].
pub struct CurrentWork {
    /// Empty only while it is dropped.
    place: Option<OwnedMutexGuard<Option<UnitOfWork>>>,
    scope: Scope,
}

impl Deref for CurrentWork {
    type Target = UnitOfWork;

    fn deref(&self) -> &UnitOfWork {
        match self.place.as_deref() {
            Some(Some(unit)) => unit,
            _ => unreachable!("it is only taken when this is dropped"),
        }
    }
}

impl DerefMut for CurrentWork {
    fn deref_mut(&mut self) -> &mut UnitOfWork {
        match self.place.as_deref_mut() {
            Some(Some(unit)) => unit,
            _ => unreachable!("it is only taken when this is dropped"),
        }
    }
}

impl Drop for CurrentWork {
    fn drop(&mut self) {
        // Given back first: whoever ends the scope before that finds the place taken, and is seen here;
        // whoever does so after it does the rest.
        drop(self.place.take());
        if self.scope.0.is_ended.load(Ordering::SeqCst)
            && let Ok(mut place) = self.scope.0.work.try_lock()
        {
            drop(place.take());
        }
    }
}

impl fmt::Debug for CurrentWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CurrentWork").field(&self.place).finish()
    }
}

/// Scopes by a key that is not the task: see [`Registry::scopes_by`].
///
/// Each is there from its first use until it is [removed](Self::remove).
pub struct Scopes<K> {
    registry: Registry,
    key: Box<dyn Fn() -> K + Send + Sync>,
    open: StdMutex<HashMap<K, Scope>>,
}

impl<K: Eq + Hash> Scopes<K> {
    /// The scope of the current key, made if there is none yet.
    #[must_use]
    pub fn current(&self) -> Scope {
        let key = (self.key)();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(key).or_insert_with(|| self.registry.new_scope()).clone()
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
