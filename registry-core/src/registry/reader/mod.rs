//! Reading from a database or its replicas: a handle that only reads.
//!
//! This file has [`Reader`], and `acquire` has [`AcquireRead`], the future of its sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::handle::Registry;
use super::route::Route;
use super::tenants::Tenant;
use crate::backend::Backend;
use crate::bind::{self, Bind, Bound};
use crate::engine::{AnyEngine, ReadRequest, TypedEngine, WantedPosition};
use crate::settings::{BindKey, WhenBehind};
use crate::token::{Token, TokenPosition};

mod acquire;
mod scope_writes;
mod token;

pub use acquire::AcquireRead;
pub(crate) use scope_writes::ScopeWrites;
pub(super) use scope_writes::count_writes_for_scopes;

/// A handle for queries that only read.
///
/// [`Registry::reader`] and [`Tenant::reader`] make one. `&reader` is an executor of queries that only read, and
/// [`session_for`](Self::session_for) acquires a session for several of them. Each query on `&reader` is run on a session
/// of its own.
///
/// A query that writes, or that locks rows, does not compile on a reader. Of raw SQL, and of a query type that is not
/// Diesel's, the compiler knows nothing: the program says that it only reads, with
/// [`.reads::<Model>()`](crate::BindDsl::reads). What the compiler cannot see, such as a function that writes, is refused by
/// the server.
///
/// It is cheap to make, to clone and to keep: it has a registry in it, and options.
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
/// let reader = registry.reader();
/// let ids: Vec<i32> = events::table.select(events::id).load(&reader).await?;
/// assert_eq!(ids.len(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reader {
    registry: Registry,
    tenant: Option<Tenant>,
    options: ReadOptions,
}

/// What a reader has been told about replicas, over the options of the bind.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadOptions {
    /// `Some(None)` switches the limit off.
    pub(crate) max_lag: Option<Option<Duration>>,
    /// `Some(None)` switches the limit off.
    pub(crate) max_lag_bytes: Option<Option<u64>>,
    pub(crate) wait_for_replica: Option<Duration>,
    pub(crate) when_behind: Option<WhenBehind>,
    /// After which the reads have to be.
    pub(crate) after: Token,
}

impl Registry {
    /// A [`Reader`] of all databases: a handle for queries that only read, on replicas where a bind has them.
    ///
    /// It waits for nothing, and costs a reference count.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let reader = registry.reader();
    /// # let _ = reader;
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { registry: self.clone(), tenant: None, options: ReadOptions::default() }
    }
}

impl Tenant {
    /// A [`Reader`] of the tenant's databases: a handle for queries that only read, on replicas where a bind has them.
    ///
    /// It waits for nothing, and costs a reference count.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let reader = registry.tenant("acme")?.reader();
    /// # let _ = reader;
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {
            registry: self.registry().clone(),
            tenant: Some(self.clone()),
            options: ReadOptions::default(),
        }
    }
}

impl Reader {
    /// Acquires a session that only reads, of the database that the model, table or query type `M` is bound to.
    ///
    /// It waits for a free connection, for `acquire_timeout` at most (30 s by default), and before that for a replica if
    /// [`when_behind`](Self::when_behind) says so. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`](crate::AcquireError), see [`Acquire`](crate::Acquire).
    ///
    /// ```
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.reader().session_for::<Analytics>().await?;
    /// assert_eq!(session.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_for<M: Bound>(&self) -> AcquireRead<'_, M::Bind> {
        self.session::<M::Bind>()
    }

    /// Acquires a session that only reads, of the bind `B`. It waits like [`session_for`](Self::session_for).
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`](crate::AcquireError), see [`Acquire`](crate::Acquire).
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.reader().session::<Analytics>().within(Duration::from_secs(2)).await?;
    /// assert_eq!(session.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session<B: Bind>(&self) -> AcquireRead<'_, B> {
        AcquireRead::new(self)
    }

    /// Sets how far a replica may lag behind in time, over the `max_lag` of the bind (10 s by default). `None` switches the
    /// limit off.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let reader = registry.reader().max_lag(Duration::from_secs(2));
    /// # let _ = reader;
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    #[must_use]
    pub fn max_lag(mut self, max_lag: impl Into<Option<Duration>>) -> Self {
        self.options.max_lag = Some(max_lag.into());
        self
    }

    /// Sets how many bytes of the log a replica may lag behind, over the `max_lag_bytes` of the bind. A replica is too far
    /// behind if it exceeds both limits. `None`, the default, leaves the decision to the time alone.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let reader = registry.reader().max_lag_bytes(1_000_000);
    /// # let _ = reader;
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    #[must_use]
    pub fn max_lag_bytes(mut self, max_lag_bytes: impl Into<Option<u64>>) -> Self {
        self.options.max_lag_bytes = Some(max_lag_bytes.into());
        self
    }

    /// Sets what is done if no replica is near enough, over the `when_behind` of the bind: whether to read from the primary
    /// at once (the default), to wait for a replica first, or to fail.
    ///
    /// ```
    /// use registry_core::{Registry, WhenBehind};
    ///
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let reader = registry.reader().when_behind(WhenBehind::Error);
    /// # let _ = reader;
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    #[must_use]
    pub fn when_behind(mut self, when_behind: WhenBehind) -> Self {
        self.options.when_behind = Some(when_behind);
        self
    }

    /// Sets how long to wait for a replica that is near enough, over the `wait_for_replica` of the bind (1 s by default). It
    /// has a meaning with [`when_behind`](Self::when_behind) `Wait` and `Error`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::{Registry, WhenBehind};
    ///
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let reader = registry.reader().when_behind(WhenBehind::Wait).wait_for_replica(Duration::from_secs(2));
    /// # let _ = reader;
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    #[must_use]
    pub fn wait_for_replica(mut self, limit: Duration) -> Self {
        self.options.wait_for_replica = Some(limit);
        self
    }

    /// Reads after this token: from a replica that has reached its position, or else from the primary. `when_behind` says
    /// whether to wait for a replica before, or to fail.
    ///
    /// Several tokens count together. A token says nothing about binds that are not in it.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// let mut work = registry.begin();
    /// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut work).await?;
    /// let token = work.commit().await?.token();
    ///
    /// let reader = registry.reader().after(&token);
    /// assert_eq!(users::table.count().get_result::<i64>(&reader).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn after(mut self, token: &Token) -> Self {
        self.options.after.merge(token);
        self
    }

    /// The request of a reader: its own settings, or else those of the engine of the bind.
    fn request<B: Bind>(&self, engine: &TypedEngine<B::Connection>) -> ReadRequest {
        let mut request = ReadRequest::of_options(&AnyEngine::settings(engine).options);
        if !AnyEngine::settings(engine).replicas.is_empty() {
            request.after = self.wanted_position(bind::key_of::<B>(), self.tenant_of(engine));
        }
        let own = &self.options;
        request.max_lag = own.max_lag.unwrap_or(request.max_lag);
        request.max_lag_bytes = own.max_lag_bytes.unwrap_or(request.max_lag_bytes);
        request.when_behind = own.when_behind.unwrap_or(request.when_behind);
        request.wait_for_replica = own.wait_for_replica.unwrap_or(request.wait_for_replica);
        request
    }

    /// The position after which reads of this bind have to be: that of the reader's own token, and of the scope that the
    /// calling task is in.
    fn wanted_position(&self, key: BindKey, tenant: Option<&Arc<str>>) -> WantedPosition {
        let of_scope = ScopeWrites::current(&self.registry).map(|writes| {
            let mut token = writes.token();
            token.merge(&self.options.after);
            token
        });
        match of_scope.as_ref().unwrap_or(&self.options.after).position(key, tenant) {
            TokenPosition::None => WantedPosition::Any,
            TokenPosition::Unknown => WantedPosition::Unknown,
            TokenPosition::At(position) => WantedPosition::At(position.clone()),
        }
    }

    /// Whether the scope that the calling task is in has written to the bind, and the position is not known.
    fn has_unplaced_writes<B: Bind>(&self, engine: &TypedEngine<B::Connection>) -> bool {
        !AnyEngine::settings(engine).replicas.is_empty()
            && ScopeWrites::current(&self.registry).is_some_and(|writes| {
                writes.has_unplaced(bind::key_of::<B>(), self.tenant_of(engine))
            })
    }

    /// Asks the primary for the position of the writes of the scope, if it is not known.
    async fn place_writes<B: Bind>(
        &self,
        engine: &Arc<TypedEngine<B::Connection>>,
        started: Instant,
        within: Option<Duration>,
    ) {
        if !self.has_unplaced_writes::<B>(engine) {
            return;
        }
        if let Some(writes) = ScopeWrites::current(&self.registry) {
            let tenant = self.tenant_of(engine);
            let engine: Arc<dyn AnyEngine> = Arc::clone(engine) as _;
            let limit = within.unwrap_or(engine.settings().options.acquire_timeout);
            let limit = limit.saturating_sub(started.elapsed());
            writes.place(bind::key_of::<B>(), tenant, engine, limit).await;
        }
    }

    /// The tenant whose database this is, if it is not shared with others.
    fn tenant_of<C: Backend>(&self, engine: &TypedEngine<C>) -> Option<&Arc<str>> {
        let tenant = self.tenant.as_ref().filter(|_| engine.is_of_one_tenant());
        tenant.map(|tenant| tenant.checked_name().shared())
    }

    fn route(&self) -> Route<'_> {
        self.tenant.as_ref().map_or(Route::Bind, Route::Tenant)
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn options(&self) -> &ReadOptions {
        &self.options
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, tenant, options } = self;
        let mut debug = f.debug_struct("Reader");
        debug.field("registry", registry);
        if let Some(tenant) = tenant {
            debug.field("tenant", &tenant.name());
        }
        debug.field("options", options).finish()
    }
}
