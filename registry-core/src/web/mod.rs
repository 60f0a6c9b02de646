//! For axum: a scope for each request, and extractors for handlers. With the feature `axum`.
//!
//! [`ScopeLayer`] gives each request a [`Scope`](crate::Scope). As an argument of a handler,
//! [`CurrentWork`](crate::CurrentWork) is the unit of work of the request, and [`SessionFor`] a session of a model. If
//! the response is a success, the unit of work is committed before the response is sent; otherwise, and if the client
//! disconnects, it is rolled back.
//!
//! ```
//! use axum::{Router, extract::Path, http::StatusCode, routing::put};
//! use diesel::prelude::*;
//! use registry_core::web::{ScopeLayer, SessionFor};
//! use registry_core::{CurrentWork, Error, Registry, RunQueryDsl, bind_tables};
//!
//! diesel::table! { events (id) { id -> Integer, } }
//! bind_tables!(db = "default", backend = Sqlite; events);
//!
//! async fn add(Path(id): Path<i32>, mut work: CurrentWork) -> Result<StatusCode, Error> {
//!     diesel::insert_into(events::table).values(events::id.eq(id)).execute(&mut *work).await?;
//!     Ok(StatusCode::CREATED)
//! }
//!
//! async fn count(mut session: SessionFor<events::table>) -> Result<String, Error> {
//!     let count: i64 = events::table.count().get_result(&mut *session).await?;
//!     Ok(count.to_string())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use registry_core::BindDsl;
//! # use tower_service::Service;
//! let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
//! # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
//! # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
//! let mut app: Router = Router::new()
//!     .route("/events", axum::routing::get(count))
//!     .route("/events/{id}", put(add))
//!     .layer(ScopeLayer::new(registry));
//! # for (method, path, body) in [("PUT", "/events/7", ""), ("GET", "/events", "1")] {
//! #     let request = axum::http::Request::builder().method(method).uri(path);
//! #     let response = app.call(request.body(axum::body::Body::empty())?).await?;
//! #     assert!(response.status().is_success());
//! #     assert_eq!(axum::body::to_bytes(response.into_body(), 100).await?, body);
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! | argument of a handler | value |
//! |---|---|
//! | [`CurrentWork`](crate::CurrentWork) | the unit of work of the request, held exclusively until it is dropped |
//! | [`SessionFor<M>`](SessionFor) | a session of the model `M`, beside the unit of work |
//! | [`Scope`](crate::Scope), `Option<Scope>` | the scope of the request |
//! | [`Tenant`](crate::Tenant), `Option<Tenant>` | the tenant of the request |
//! | [`PageRequest`](crate::query::paginate::PageRequest) | the page that the request asks for with `?page=2&per_page=50` |
//! | [`Cursor<K>`](crate::query::paginate::Cursor), `Option<Cursor<K>>` | the position that the request has in `?after=..` |
//!
//! [`ScopeLayer::per_tenant`] gives each request a scope on the databases of the request's tenant.
//!
//! [`ScopeLayer::read_your_writes`] lets each client see what its own last requests have written, also where readers read
//! from replicas.
//!
//! [`ScopeLayer::server_timing`] tells browsers how long the databases took for a request, and [`ScopeLayer::route`] tells
//! the databases which route a statement is of.
//!
//! Errors are responses, so that `?` works in a handler that returns `Result<_, Error>`:
//! the implementation of [`IntoResponse`](axum_core::response::IntoResponse) for [`Error`](crate::Error) lists the status of
//! each error, and an [`ErrorPolicy`] says which violated constraints are the client's fault. [`Or404Dsl`] has `first_or_404` and
//! `get_or_404`, whose error is [`HandlerError`]. [`PageLinks`] is the `Link` header of a
//! [page](crate::query::paginate).
//!
//! With the feature `dashboard`, `dashboard` is a page about the databases of a registry: their use, waits, latencies and
//! errors, live.

// The files of this folder:
//
// | file | content |
// |---|---|
// | `scope_layer.rs` | `ScopeLayer`, and how it finds the tenant of a request |
// | `scope_service.rs` | the service of the layer: the life of a request, and the commit at its end |
// | `scope_tags.rs` | the tags in the SQL of a request |
// | `server_timing.rs` | the header that says how long the databases took |
// | `read_your_writes.rs` | how clients carry the token of their last write: names, cookie, key |
// | `token_exchange.rs` | tokens in requests and in responses |
// | `into_tenant.rs` | the return values of a closure that finds the tenant |
// | `extract.rs` | the arguments of handlers |
// | `response.rs` | errors as responses: the status of each error |
// | `error_policy.rs` | which errors are the client's, and the bodies of responses |
// | `handler_error.rs` | the error of a handler, with what was not found |
// | `or_404.rs` | the methods that turn a missing row into 404 |
// | `pages.rs` | which page a request asks for, and links to its neighbours |
// | `dashboard/` | the feature `dashboard`: a page about the databases |

#[cfg(feature = "dashboard")]
mod dashboard;
mod error_policy;
mod extract;
mod handler_error;
mod into_tenant;
mod or_404;
mod pages;
mod read_your_writes;
mod response;
mod scope_layer;
mod scope_service;
mod scope_tags;
mod server_timing;
mod token_exchange;

#[cfg(feature = "dashboard")]
pub use dashboard::{DashboardOptions, dashboard, dashboard_with};
pub use error_policy::{ErrorLayer, ErrorPolicy, ErrorService};
pub use extract::SessionFor;
pub use handler_error::{HandlerError, NotFound};
pub use into_tenant::IntoTenant;
pub use or_404::{Or404, Or404Dsl};
pub use pages::{Linked, PageLimits, PageLinks};
pub use read_your_writes::{InvalidReadYourWrites, ReadYourWrites};
pub use scope_layer::ScopeLayer;
pub use scope_service::ScopeService;
