//! A page about the databases of a registry, with the feature `dashboard`.
//!
//! | file | contents |
//! |---|---|
//! | [`options`] | what a program says about its page |
//! | [`router`] | the routes, the headers, and which requests are answered |
//! | [`access`] | who may read the page, if the program has no guard of its own |
//! | [`stream`] | server-sent events |
//! | [`observer`] | the task that looks at the registry while somebody looks at the page |
//! | [`history`], [`activity`] | the last minutes of each engine, and its queries |
//! | [`health`], [`verification`] | whether the databases answer, and what `verify` says |
//! | [`view`] | the sections of the page: what each shows, for its template |

mod access;
mod activity;
mod health;
mod history;
mod observer;
mod options;
mod router;
mod stream;
mod verification;
mod view;

use axum::Router;

use crate::registry::Registry;

pub use options::DashboardOptions;

/// A page about the databases of a registry, as a router to be nested where the program wants it: their connections in
/// use, waits, latencies and errors over the last minutes, live.
///
/// ```
/// use std::net::SocketAddr;
/// use axum::Router;
/// use registry_core::Registry;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// let app: Router = Router::new()
///     .nest("/databases", registry_core::web::dashboard(registry.clone()));
///
/// // With the addresses of its peers, the page knows who asks.
/// let service = app.into_make_service_with_connect_info::<SocketAddr>();
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
///
/// # Who may read it
///
/// The page is meant for a place behind the program's own guard, such as a log-in: there,
/// [`dashboard_with`] and [`DashboardOptions::guarded`] say that each request is to be answered. Without that, it is
/// for this machine alone:
///
/// - If the server tells the address of the peer (axum's `ConnectInfo<SocketAddr>`), a loopback address is answered,
///   unless a proxy has passed the request on (`Forwarded`, `Via`, `X-Forwarded-*`, `X-Real-IP` and the like, or HTTP/1.0,
///   which nginx speaks by default) or the `Host` is a name other than `localhost`, which a site may have pointed to this
///   machine. A proxy on this machine that adds no header, speaks HTTP/1.1 and asks for an address looks like a browser
///   here: behind such a one, put a guard before the page.
/// - If it does not, such a request is answered if it has no `Host`, or that of a loopback address or `localhost`. The page
///   then says that it cannot tell who reads it, and there is one event at warn level.
/// - Any other request gets 403, with the reason and what to do, and is an event at warn level (target `registry`).
///
/// No request changes anything. Neither passwords nor users of URLs are on the page, and nothing that was bound to a
/// statement; the errors are in the words of the databases, which may name a user.
///
/// # What it costs
///
/// Nothing before somebody looks. From then on, queries are counted. While somebody looks, one task takes a snapshot four
/// times a second, which is no look of [`Registry::status`](crate::Registry::status), and about once a second asks each
/// database with a connection to spare for an answer, as [`check`](crate::Registry::check) does: so a bind that was never
/// used connects, and each question is one of the acquires that the page counts. [`verify`](crate::Registry::verify) runs
/// when the page is first looked at and no bind has all of its connections in use, and when its button is pressed, at most
/// every ten seconds. The task ends a few seconds after the last viewer; a page in the background of a browser does not
/// count as one. What was seen stays in memory, for three minutes, and a chart has a gap where nobody looked.
///
/// # Shutting down
///
/// A server that shuts down gracefully waits for the end of its responses. The live stream of the page ends at once when
/// the registry is closed; while it is open, each stream lasts four seconds, and a browser then opens the next. So a page
/// that somebody looks at delays `axum::serve(..).with_graceful_shutdown(..)` by four seconds at most.
pub fn dashboard(registry: Registry) -> Router {
    dashboard_with(registry, DashboardOptions::new())
}

/// The page of [`dashboard`](dashboard()), with options: whether the program has a guard before it, and its title.
///
/// ```
/// use axum::Router;
/// use registry_core::Registry;
/// use registry_core::web::{DashboardOptions, dashboard_with};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::SettingsError> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// let page = dashboard_with(registry, DashboardOptions::new().guarded(true));
/// // Here the program's own log-in would be a `route_layer`.
/// let app: Router = Router::new().nest("/databases", page);
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
pub fn dashboard_with(registry: Registry, options: DashboardOptions) -> Router {
    router::router(registry, options)
}
