//! The routes, and which requests are answered.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::response::Html;
use axum::routing::get;
use axum_core::extract::{FromRequestParts, Request};
use axum_core::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::access::{Access, Refusal, access};
use super::observer::Observer;
use super::options::DashboardOptions;
use super::stream::stream;
use super::view::{Page, rendered};
use crate::registry::Registry;

/// One page: its options, and what it knows of the registry.
struct Dashboard {
    options: DashboardOptions,
    observer: Arc<Observer>,
    /// Whether it was warned that nothing tells who asks.
    has_warned: AtomicBool,
}

/// The router of one page.
///
/// There is one path, and the query tells what of it is wanted, so that each link is only a query: it is right below
/// `/databases`, below `/databases/`, and wherever a proxy has the page.
pub(super) fn router(registry: Registry, options: DashboardOptions) -> Router {
    let dashboard = Arc::new(Dashboard {
        options,
        observer: Observer::new(registry),
        has_warned: AtomicBool::new(false),
    });
    Router::new().route("/", get(move |request| answer(dashboard, request)))
}

async fn answer(dashboard: Arc<Dashboard>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let peer = ConnectInfo::<SocketAddr>::from_request_parts(&mut parts, &()).await;
    let access = match dashboard.options.guarded {
        true => Access::Granted,
        false => access(peer.ok().map(|ConnectInfo(peer)| peer), &parts),
    };
    let is_reader_unknown = access == Access::GrantedToUnknown;
    if let Access::Refused(refusal) = access {
        return with_headers(refused(&refusal), None);
    }
    if is_reader_unknown && !dashboard.has_warned.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            target: "registry",
            "the page about the databases cannot tell who reads it: serve the program with \
             `into_make_service_with_connect_info::<SocketAddr>()`, or put the page behind a guard and say so with \
             `DashboardOptions::guarded(true)`"
        );
    }
    match parts.uri.query() {
        Some("live") => with_headers(stream(&dashboard.observer), None),
        query => {
            if query == Some("verify") {
                dashboard.observer.verify().await;
            }
            let frame = dashboard.observer.present().await;
            let nonce = nonce();
            let title = dashboard.options.shown_title();
            let page = Page { title, nonce: &nonce, is_reader_unknown, frame: &frame };
            with_headers(Html(rendered(&page)).into_response(), Some(&nonce))
        }
    }
}

fn refused(refusal: &Refusal) -> Response {
    tracing::warn!(target: "registry", reason = %refusal, "the page about the databases was refused");
    let text = format!(
        "403 Forbidden: {refusal}.\n\n\
         This page shows the databases of a program, so it is only shown on the machine that the program runs on.\n\
         To show it to others, put it behind a guard of the program, such as a log-in, and say so:\n\n    \
         dashboard_with(registry, DashboardOptions::new().guarded(true))\n"
    );
    (StatusCode::FORBIDDEN, text).into_response()
}

/// Adds the headers that keep the answer out of caches and frames, and everything foreign out of the page.
fn with_headers(mut response: Response, nonce: Option<&str>) -> Response {
    let own = |nonce| {
        format!(
            "; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:"
        )
    };
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'{}",
        nonce.map(own).unwrap_or_default()
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    insert(headers, header::CACHE_CONTROL, "no-store");
    insert(headers, header::X_FRAME_OPTIONS, "DENY");
    insert(headers, header::REFERRER_POLICY, "no-referrer");
    insert(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    insert(headers, HeaderName::from_static("x-robots-tag"), "noindex");
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// A number that cannot be foreseen. Each [`RandomState`] has a secret key, which the system's randomness seeds.
fn nonce() -> String {
    let (a, b) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
    format!("{a:016x}{b:016x}")
}
