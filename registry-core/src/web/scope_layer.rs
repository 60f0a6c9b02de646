//! The layer that gives each request a scope, and how it finds the tenant of a request.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use axum_core::response::Response;
use futures_util::future::BoxFuture;
use http::request::Parts;

use super::into_tenant::IntoTenant;
use super::read_your_writes::{InvalidReadYourWrites, ReadYourWrites};
use super::scope_tags::RequestTag;
use super::token_exchange::TokenExchange;
use crate::registry::{Registry, Tenant};
use crate::work::{Scope, WorkOptions};

/// Gives each request a [`Scope`], in which the handler and the functions that it calls share one unit of work.
///
/// - If the status of the response is below 400, the unit of work is committed before the response is sent. A commit that
///   fails becomes the response. [`commit_on_success`](Self::commit_on_success) turns this off.
/// - Otherwise the unit of work is rolled back, also if the client disconnects before the commit has begun. A commit that
///   has begun runs to its end in a separate task, so that a disconnect does not leave one database committed and the next
///   database not.
/// - A streamed body is produced after the end of the scope, and has no unit of work.
///
/// ```
/// use axum::{Router, extract::Path, http::StatusCode, routing::put};
/// use diesel::prelude::*;
/// use registry_core::web::ScopeLayer;
/// use registry_core::{CurrentWork, Error, Registry, RunQueryDsl, bind_tables};
/// # use registry_core::BindDsl;
///
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "default", backend = Sqlite; events);
///
/// async fn add(Path(id): Path<i32>, mut work: CurrentWork) -> Result<StatusCode, Error> {
///     diesel::insert_into(events::table).values(events::id.eq(id)).execute(&mut *work).await?;
///     // Rolled back, as 409 is not below 400.
///     Ok(if id > 1 { StatusCode::CONFLICT } else { StatusCode::CREATED })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use tower_service::Service;
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let layer = ScopeLayer::new(registry.clone());
/// let mut app: Router = Router::new().route("/events/{id}", put(add)).layer(layer);
/// # for (path, status) in [("/events/1", 201), ("/events/2", 409)] {
/// #     let request = axum::http::Request::put(path).body(axum::body::Body::empty())?;
/// #     assert_eq!(app.call(request).await?.status(), status);
/// # }
/// # assert_eq!(events::table.select(events::id).load::<i32>(&registry).await?, [1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ScopeLayer {
    scopes: ScopeFactory,
    pub(super) commits_on_success: bool,
    options: Option<WorkOptions>,
    pub(super) tokens: Option<Arc<TokenExchange>>,
    /// The tags of the statements of a request.
    pub(super) tags: Vec<RequestTag>,
    /// Whether a response says how long the databases took.
    pub(super) tells_timing: bool,
    /// The call site that made the layer. The log names it as the call site of the scopes.
    made_at: &'static Location<'static>,
}

/// Makes the scope of a request.
#[derive(Clone)]
enum ScopeFactory {
    Registry(Registry),
    Tenant(Arc<FindTenant>),
    TenantAsync(Arc<FindTenantAsync>),
}

/// A tenant, or the response to a request without a tenant.
type FoundTenant = Result<Tenant, Box<Response>>;
type FindTenant = dyn Fn(&Parts) -> FoundTenant + Send + Sync;
type FindTenantAsync = dyn Fn(&Parts) -> BoxFuture<'static, FoundTenant> + Send + Sync;

impl ScopeLayer {
    /// A layer that gives each request a scope of the registry, and commits after a success: see [`ScopeLayer`].
    ///
    /// ```
    /// use axum::Router;
    /// use registry_core::web::ScopeLayer;
    /// # use registry_core::{Registry, SettingsError};
    ///
    /// # fn main() -> Result<(), SettingsError> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let app: Router = Router::new().layer(ScopeLayer::new(registry));
    /// # let _ = app;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn new(registry: Registry) -> Self {
        Self::with_scopes(ScopeFactory::Registry(registry), Location::caller())
    }

    /// A layer that gives each request a scope of the tenant that `find` returns, and commits after a success.
    ///
    /// Behind the layer, [`CurrentWork`](crate::CurrentWork), [`UnitOfWork::current`](crate::UnitOfWork::current) and
    /// [`SessionFor`](super::SessionFor) use the databases of this tenant, and a handler can take the [`Tenant`] as an
    /// argument as well. Binds that are not divided by tenants are the same for all.
    ///
    /// `find` returns a [`Tenant`], or an `Option` or a `Result` of a tenant: see [`IntoTenant`]. The response to `None`,
    /// and to an invalid name, is `404 Not Found`, and the handler does not run. Only the first use of the tenant's
    /// database checks whether the tenant exists; if it does not, the response is `404` as well: a handler that takes only [`Tenant`], or
    /// only binds that are not divided by tenants, **runs for unknown tenants too**. Nothing is created for them.
    ///
    /// The layer calls `find` before the handler, so `find` should neither block nor take long; use a
    /// [`TenantResolver`](crate::TenantResolver) to look up databases. The program has to check whether the client may act
    /// for the tenant.
    ///
    /// ```standalone_crate
    /// use axum::{Router, http::request::Parts, routing::get};
    /// use diesel::prelude::*;
    /// use registry_core::web::{ScopeLayer, SessionFor};
    /// use registry_core::{Error, Registry, RunQueryDsl, Tenant, bind_tables};
    ///
    /// diesel::table! { invoices (id) { id -> Integer, } }
    /// bind_tables!(db = "crm", backend = Sqlite; invoices);
    ///
    /// async fn count(
    ///     tenant: Tenant,
    ///     mut session: SessionFor<invoices::table>,
    /// ) -> Result<String, Error> {
    ///     let count: i64 = invoices::table.count().get_result(&mut *session).await?;
    ///     Ok(format!("{} has {count}", tenant.name()))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower_service::Service;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let url = format!("sqlite://{path}/{{tenant}}.db");
    /// // url = "sqlite:///srv/crm/{tenant}.db"
    /// let registry = Registry::builder().bind("crm", url).build()?;
    /// # let create = "CREATE TABLE invoices (id INTEGER PRIMARY KEY)";
    /// # let acme = registry.tenant("acme")?;
    /// # use registry_core::BindDsl;
    /// # diesel::sql_query(create).bound_to::<invoices::table>().execute(&acme).await?;
    /// let per_tenant = ScopeLayer::per_tenant(move |parts: &Parts| {
    ///     // acme.example.org
    ///     let host = parts.headers.get("host")?.to_str().ok()?;
    ///     Some(registry.tenant(host.split_once('.')?.0))
    /// });
    /// let mut app: Router = Router::new().route("/invoices", get(count)).layer(per_tenant);
    /// # for (host, status, told) in [
    /// #     ("acme.example.org", 200, "acme has 0"),
    /// #     ("acmee.example.org", 404, "Not Found"),
    /// #     ("..%2fetc.example.org", 404, "Not Found"),
    /// #     ("localhost", 404, "Not Found"),
    /// # ] {
    /// #     let request = axum::http::Request::get("/invoices").header("host", host);
    /// #     let response = app.call(request.body(axum::body::Body::empty())?).await?;
    /// #     assert_eq!(response.status(), status, "{host}");
    /// #     let body = axum::body::to_bytes(response.into_body(), 100).await?;
    /// #     assert_eq!(body, told);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn per_tenant<T: IntoTenant>(find: impl Fn(&Parts) -> T + Send + Sync + 'static) -> Self {
        let find = move |parts: &Parts| find(parts).into_tenant();
        Self::with_scopes(ScopeFactory::Tenant(Arc::new(find)), Location::caller())
    }

    /// As [`per_tenant`](Self::per_tenant), with an asynchronous `find`: for example one that looks up the user who is
    /// logged in.
    ///
    /// The future that `find` returns cannot borrow from the request, so `find` has to copy the values that it needs. If
    /// the client disconnects, the future is dropped.
    ///
    /// ```standalone_crate
    /// use axum::http::request::Parts;
    /// use registry_core::Registry;
    /// use registry_core::web::ScopeLayer;
    ///
    /// # async fn company_of(cookie: String) -> Option<String> { Some(cookie) }
    /// # fn main() -> Result<(), registry_core::SettingsError> {
    /// # let registry = Registry::builder().bind("crm", "sqlite:///srv/crm/{tenant}.db").build()?;
    /// let layer = ScopeLayer::per_tenant_async(move |parts: &Parts| {
    ///     let cookie = parts.headers.get("cookie").and_then(|it| it.to_str().ok()).map(str::to_owned);
    ///     let registry = registry.clone();
    ///     async move { Some(registry.tenant(&company_of(cookie?).await?)) }
    /// });
    /// # let _ = layer;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn per_tenant_async<R>(find: impl Fn(&Parts) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output: IntoTenant> + Send + 'static,
    {
        let find = move |parts: &Parts| -> BoxFuture<'static, FoundTenant> {
            let found = find(parts);
            Box::pin(async move { found.await.into_tenant() })
        };
        Self::with_scopes(ScopeFactory::TenantAsync(Arc::new(find)), Location::caller())
    }

    fn with_scopes(scopes: ScopeFactory, made_at: &'static Location<'static>) -> Self {
        Self {
            scopes,
            commits_on_success: true,
            options: None,
            tokens: None,
            tags: Vec::new(),
            tells_timing: false,
            made_at,
        }
    }

    /// Whether the unit of work is committed after a success. `true` by default. With `false`, handlers commit by
    /// [`Scope::commit`], and a unit of work that they leave open is rolled back, as in Flask-SQLAlchemy.
    ///
    /// ```
    /// # use axum::{Router, http::StatusCode, routing::put};
    /// # use diesel::prelude::*;
    /// # use registry_core::web::ScopeLayer;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, Scope, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; events);
    /// async fn add(scope: Scope) -> Result<StatusCode, Error> {
    ///     let mut work = scope.work().await?;
    ///     diesel::insert_into(events::table).values(events::id.eq(1)).execute(&mut *work).await?;
    ///     drop(work);
    ///     scope.commit().await?;
    ///     Ok(StatusCode::CREATED)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower_service::Service;
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let layer = ScopeLayer::new(registry.clone()).commit_on_success(false);
    /// # let mut app: Router = Router::new().route("/events", put(add)).layer(layer);
    /// # let request = axum::http::Request::put("/events").body(axum::body::Body::empty())?;
    /// # assert_eq!(app.call(request).await?.status(), 201);
    /// # assert_eq!(events::table.select(events::id).load::<i32>(&registry).await?, [1]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn commit_on_success(mut self, commits: bool) -> Self {
        self.commits_on_success = commits;
        self
    }

    /// The options of each request's units of work, instead of the options of the
    /// [builder](crate::RegistryBuilder::work) of the registry.
    ///
    /// If the options name keys without a bind, the first use of the unit of work in each request fails with
    /// [`WorkError::Keys`](crate::WorkError::Keys).
    ///
    /// ```
    /// # use axum::{Router, http::StatusCode, routing::put};
    /// # use diesel::prelude::*;
    /// # use registry_core::web::ScopeLayer;
    /// # use registry_core::{BindDsl, CurrentWork, Error, Registry, RunQueryDsl, WorkOptions, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; events);
    /// # async fn add(mut work: CurrentWork) -> Result<StatusCode, Error> {
    /// #     diesel::insert_into(events::table).values(events::id.eq(1)).execute(&mut *work).await?;
    /// #     Ok(StatusCode::CREATED)
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower_service::Service;
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let layer = ScopeLayer::new(registry.clone()).work_options(WorkOptions::new().read_only(true));
    /// # let mut app: Router = Router::new().route("/events", put(add)).layer(layer);
    /// # let request = axum::http::Request::put("/events").body(axum::body::Body::empty())?;
    /// # assert_eq!(app.call(request).await?.status(), 500);
    /// # assert_eq!(events::table.select(events::id).load::<i32>(&registry).await?, [] as [i32; 0]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn work_options(mut self, options: WorkOptions) -> Self {
        self.options = Some(options);
        self
    }

    /// Lets the requests of a client read what its earlier requests have written, also from replicas.
    ///
    /// The response to a request that has written carries a [`Token`](crate::Token), signed, in the header `x-read-after`
    /// and in the cookie `read_after`; [`ReadYourWrites`] has other names and attributes. All reads of a request by a
    /// [`Reader`](crate::Reader) are after the token that the request brings in the header or the cookie: a replica that
    /// has not replayed it is passed over.
    ///
    /// - A request has written if its unit of work was committed, or if a session, a query on the registry or the tenant,
    ///   or another unit of work may have written, whatever the status of the response is. A request that only reads
    ///   has no token in its response, and the client keeps the one that it has.
    /// - A unit of work learns its position with its commit. For other writes, the primary is asked before the response is
    ///   sent, for one second at most. Without an answer the position is unknown, and the client's next reads go to the
    ///   primary.
    /// - A token that is not signed with the key is ignored, and so is one that is cut or too long. A forged one could send
    ///   all reads to the primary.
    /// - Binds without replicas have no part in tokens. If no bind has replicas, no response has one.
    /// - What a streamed body writes is later than the response's head, and is not in its token. A task that the handler has
    ///   spawned is in no scope, so its writes are not in the token either, unless it [enters](Scope::enter) the scope and
    ///   has written before the response.
    /// - After a panic of the handler there is no response, and so no token. Layers that turn panics into
    ///   responses have to be inside of this layer, so that what was committed before the panic is in the token.
    ///
    /// # Errors
    ///
    /// [`InvalidReadYourWrites::NoKey`] if neither the settings of the registry nor [`ReadYourWrites::key`] give a key: an
    /// error here is seen when the program starts, and one in each request would be seen by users. A layer of tenants
    /// has no registry of its own, and takes the key by [`ReadYourWrites::key_of`]. The other errors are about
    /// the names.
    ///
    /// ```
    /// use axum::{Router, http::StatusCode, routing::get};
    /// use diesel::prelude::*;
    /// use registry_core::web::{ReadYourWrites, ScopeLayer};
    /// use registry_core::{CurrentWork, Error, Registry, RunQueryDsl, Scope, bind_tables};
    /// # use registry_core::BindDsl;
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "default", backend = Sqlite; events);
    ///
    /// async fn add(mut work: CurrentWork) -> Result<StatusCode, Error> {
    ///     diesel::insert_into(events::table).default_values().execute(&mut *work).await?;
    ///     Ok(StatusCode::CREATED)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower_service::Service;
    /// # let secret = || "0123456789abcdef".to_owned();
    /// let builder = Registry::builder().bind("default", "sqlite::memory:");
    /// let registry = builder.token_key(secret()).build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let reader = registry.reader();
    /// // Sees the events that the same client has added, on whichever server it reads.
    /// let count = async move || {
    ///     let count: i64 = events::table.count().get_result(&reader).await?;
    ///     Ok::<_, Error>(count.to_string())
    /// };
    /// let layer = ScopeLayer::new(registry).read_your_writes(ReadYourWrites::new())?;
    /// let mut app: Router = Router::new().route("/events", get(count).put(add)).layer(layer);
    /// # for (method, body) in [("PUT", ""), ("GET", "1")] {
    /// #     let request = axum::http::Request::builder().method(method).uri("/events");
    /// #     let response = app.call(request.body(axum::body::Body::empty())?).await?;
    /// #     assert!(response.status().is_success());
    /// #     assert!(response.headers().get("x-read-after").is_none(), "SQLite has no replicas");
    /// #     assert_eq!(axum::body::to_bytes(response.into_body(), 100).await?, body);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_your_writes(
        mut self,
        carried: ReadYourWrites,
    ) -> Result<Self, InvalidReadYourWrites> {
        let registry = match &self.scopes {
            ScopeFactory::Registry(registry) => Some(registry),
            ScopeFactory::Tenant(_) | ScopeFactory::TenantAsync(_) => None,
        };
        self.tokens = Some(Arc::new(carried.build(registry)?));
        Ok(self)
    }

    /// A new scope for a request, or the response to a request without a tenant.
    pub(super) async fn scope_for(&self, parts: &Parts) -> Result<Scope, Box<Response>> {
        let (options, made_at) = (self.options.clone(), self.made_at);
        let tenant = match &self.scopes {
            ScopeFactory::Registry(registry) => return Ok(registry.new_scope_at(options, made_at)),
            ScopeFactory::Tenant(find) => find(parts)?,
            ScopeFactory::TenantAsync(find) => find(parts).await?,
        };
        Ok(tenant.new_scope_at(options, made_at))
    }
}

impl fmt::Debug for ScopeFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => f.debug_tuple("Registry").field(registry).finish(),
            Self::Tenant(_) | Self::TenantAsync(_) => {
                f.debug_struct("Tenant").finish_non_exhaustive()
            }
        }
    }
}
