//! A scope for each request, and what handlers take from it, for axum. With the feature `axum`.
//!
//! [`ScopeLayer`] gives each request a [`Scope`](crate::Scope). [`CurrentWork`](crate::CurrentWork) as an argument of a
//! handler is its unit of work, and [`SessionFor`] a session of a model. If the response is a
//! success, what the handler has done is committed before the response is sent; otherwise, and if
//! the client goes away, it is rolled back.
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
//! # fn main() -> Result<(), registry_core::SettingsError> {
//! let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
//! let app: Router = Router::new()
//!     .route("/events", axum::routing::get(count))
//!     .route("/events/{id}", put(add))
//!     .layer(ScopeLayer::new(registry));
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! [`ScopeLayer::per_tenant`] does the same for the databases of the tenant that a request is for.
//!
//! Errors are responses: see what [`Error`](crate::Error) is as [`IntoResponse`](axum_core::response::IntoResponse).

mod extract;
mod into_tenant;
mod response;
mod scope_layer;

pub use extract::SessionFor;
pub use into_tenant::IntoTenant;
pub use scope_layer::{ScopeLayer, ScopeService};
