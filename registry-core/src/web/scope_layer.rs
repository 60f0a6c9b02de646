//! A scope around each request.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::extract::Request;
use axum_core::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::StatusCode;
use http::request::Parts;
use tower_layer::Layer;
use tower_service::Service;

use super::into_tenant::IntoTenant;
use crate::error::Error;
use crate::registry::{Registry, Tenant};
use crate::work::{Scope, WorkOptions};

/// Gives each request a [`Scope`], in which the handler and what it calls share one unit of work.
///
/// It is committed if the status of the response is below 400, before the response is sent; a
/// commit that fails becomes the response. Otherwise, and if the client goes away before that, it
/// is rolled back. A body that is streamed is made after the end of the scope.
#[derive(Debug, Clone)]
pub struct ScopeLayer {
    source: Source,
    commits: bool,
    options: Option<WorkOptions>,
    made_at: &'static Location<'static>,
}

/// Whose scope a request gets.
#[derive(Clone)]
enum Source {
    Registry(Registry),
    Tenant(Arc<FindTenant>),
    TenantLater(Arc<FindTenantLater>),
}

type FindTenant = dyn Fn(&Parts) -> Found + Send + Sync;
type FindTenantLater = dyn Fn(&Parts) -> BoxFuture<'static, Found> + Send + Sync;
type Found = Result<Tenant, Box<Response>>;

impl ScopeLayer {
    /// A layer that commits after a success.
    #[must_use]
    #[track_caller]
    pub fn new(registry: Registry) -> Self {
        Self::of(Source::Registry(registry), Location::caller())
    }

    /// A layer that gives each request a scope of the tenant that `find` says it is for, and commits after a
    /// success.
    ///
    /// Behind it, [`CurrentWork`](crate::CurrentWork), [`UnitOfWork::current`](crate::UnitOfWork::current) and
    /// [`SessionFor`](super::SessionFor) are on the databases of this tenant, and [`Tenant`] is an argument of a
    /// handler as well. Binds that are not divided by tenants are the same as ever.
    ///
    /// `find` returns a [`Tenant`], an `Option` or a `Result` of one: see [`IntoTenant`]. `None`, and a name
    /// that cannot be one, are `404 Not Found` before the handler runs. Whether the tenant exists is only found out
    /// when its database is first used, which is a `404` as well then: a handler that takes only [`Tenant`], or
    /// only binds that are not divided by tenants, **runs for unknown tenants too**. Nothing is made for them.
    ///
    /// `find` runs before anything else of the request, so it should neither block nor take long: a
    /// [`TenantResolver`](crate::TenantResolver) is where databases are looked up. Whether the client may act for that tenant is for the program to check.
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
        Self::of(Source::Tenant(Arc::new(find)), Location::caller())
    }

    /// As [`per_tenant`](Self::per_tenant), for a `find` that has to wait: for a look at who is logged in, say.
    ///
    /// What it returns cannot borrow of the request: it takes what it needs along.
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
        let find = move |parts: &Parts| -> BoxFuture<'static, Found> {
            let found = find(parts);
            Box::pin(async move { found.await.into_tenant() })
        };
        Self::of(Source::TenantLater(Arc::new(find)), Location::caller())
    }

    fn of(source: Source, made_at: &'static Location<'static>) -> Self {
        Self { source, commits: true, options: None, made_at }
    }

    /// Whether the unit of work is committed after a success. If not, handlers commit by
    /// [`Scope::commit`], and what they leave open is rolled back, as in Flask-SQLAlchemy.
    #[must_use]
    pub fn commit_on_success(mut self, commits: bool) -> Self {
        self.commits = commits;
        self
    }

    /// The options of each request's units of work, in place of those that were given to the builder of the registry.
    #[must_use]
    pub fn work_options(mut self, options: WorkOptions) -> Self {
        self.options = Some(options);
        self
    }

    /// A scope for a request, or the response to one that is nobody's.
    async fn scope_of(&self, parts: &Parts) -> Result<Scope, Box<Response>> {
        let (options, made_at) = (self.options.clone(), self.made_at);
        let tenant = match &self.source {
            Source::Registry(registry) => return Ok(registry.new_scope_at(options, made_at)),
            Source::Tenant(find) => find(parts)?,
            Source::TenantLater(find) => find(parts).await?,
        };
        Ok(tenant.new_scope_at(options, made_at))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => f.debug_tuple("Registry").field(registry).finish(),
            Self::Tenant(_) | Self::TenantLater(_) => {
                f.debug_struct("Tenant").finish_non_exhaustive()
            }
        }
    }
}

impl<S> Layer<S> for ScopeLayer {
    type Service = ScopeService<S>;

    fn layer(&self, inner: S) -> ScopeService<S> {
        ScopeService { inner, layer: self.clone() }
    }
}

/// What [`ScopeLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct ScopeService<S> {
    inner: S,
    layer: ScopeLayer,
}

impl<S> Service<Request> for ScopeService<S>
where
    S: Service<Request, Response: IntoResponse, Future: Send> + Clone + Send + 'static,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let layer = self.layer.clone();
        // The one that is ready.
        let other = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, other);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let scope = match layer.scope_of(&parts).await {
                Ok(scope) => scope,
                Err(response) => return Ok(*response),
            };
            parts.extensions.insert(scope.registry().clone());
            parts.extensions.insert(scope.clone());
            let request = Request::from_parts(parts, body);
            let ending = scope.clone();
            let handled = async {
                let response = inner.call(request).await?.into_response();
                let is_success =
                    !response.status().is_client_error() && !response.status().is_server_error();
                if layer.commits && is_success {
                    let unit = match scope.take_to_commit().await {
                        Ok(unit) => unit,
                        // Something of the response still has it.
                        Err(error) => return Ok(Error::from(error).into_response()),
                    };
                    // Committed in a task of its own: a client that goes away now must not leave one
                    // database committed and the next one not.
                    let committed = tokio::spawn(unit.commit()).await;
                    if let Ok(Err(error)) = committed {
                        return Ok(error.into_response());
                    }
                    if committed.is_err() {
                        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
                    }
                }
                Ok(response)
            };
            ending.run(handled).await
        })
    }
}
