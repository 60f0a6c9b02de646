//! The header `Server-Timing`: how long the databases took for a request.

use std::fmt::Write;

use http::header::{HeaderName, HeaderValue};

use axum_core::response::Response;

use super::scope_layer::ScopeLayer;
use crate::telemetry::BindTiming;
use crate::work::Scope;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

impl ScopeLayer {
    /// Whether each response says in the header `Server-Timing` how many queries the request has run on each bind, and how
    /// long they took together, in milliseconds: `db-default;dur=12.345;desc="3 queries"`. Browsers show it with the request in
    /// their network tools. `false` by default, as times tell strangers something, such as whether a user exists.
    ///
    /// - It has no SQL and no tenant in it. A header that the handler has set is kept, and a response of a request without
    ///   queries has none.
    /// - It works whether or not queries are [recorded](Scope::queries), and counts all of them, however many are kept.
    /// - `BEGIN`, `COMMIT` and `ROLLBACK` are not in it, and neither is the wait for a connection. Of queries that ran at the
    ///   same time, the times are added up.
    /// - The queries of a streamed body are later than the response's head, and are not in it. Neither are queries of tasks
    ///   that have not [entered](Scope::enter) the scope, nor those of `find` of a layer of tenants.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use diesel::prelude::*;
    /// use registry_core::web::{ScopeLayer, SessionFor};
    /// use registry_core::{Error, Registry, RunQueryDsl, bind_tables};
    /// # use registry_core::BindDsl;
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "default", backend = Sqlite; events);
    ///
    /// async fn count(mut session: SessionFor<events::table>) -> Result<String, Error> {
    ///     let count: i64 = events::table.count().get_result(&mut *session).await?;
    ///     Ok(count.to_string())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tower_service::Service;
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let layer = ScopeLayer::new(registry).server_timing(true);
    /// let mut app: Router = Router::new().route("/events", get(count)).layer(layer);
    /// # let request = axum::http::Request::get("/events").body(axum::body::Body::empty())?;
    /// # let response = app.call(request).await?;
    /// # let timing = response.headers()["server-timing"].to_str()?;
    /// # assert!(timing.starts_with("db-default;dur="), "{timing}");
    /// # assert!(timing.ends_with(";desc=\"1 query\""), "{timing}");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn server_timing(mut self, is_on: bool) -> Self {
        self.tells_timing = is_on;
        self
    }
}

/// Adds the header to the response of a request that had this scope.
pub(super) fn tell_timing(scope: &Scope, response: &mut Response) {
    let metrics = metrics(&scope.telemetry().timings());
    // Keys of binds are of letters, digits and `_`, so there is nothing to escape.
    if let Some(value) = metrics.and_then(|metrics| HeaderValue::try_from(metrics).ok()) {
        response.headers_mut().append(SERVER_TIMING, value);
    }
}

/// The value of the header, as W3C's Server Timing has it: a metric for each bind, with its name, duration and description.
fn metrics(timings: &[BindTiming]) -> Option<String> {
    let mut metrics = String::new();
    for BindTiming { bind, queries, elapsed } in timings {
        if !metrics.is_empty() {
            metrics.push_str(", ");
        }
        let (milliseconds, noun) =
            (elapsed.as_secs_f64() * 1000.0, if *queries == 1 { "query" } else { "queries" });
        let _ = write!(metrics, "db-{bind};dur={milliseconds:.3};desc=\"{queries} {noun}\"");
    }
    (!metrics.is_empty()).then_some(metrics)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bind_key::BindKey;

    #[test]
    fn each_bind_has_a_metric() {
        let timing = |bind, queries, micros| BindTiming {
            bind: BindKey::new(bind).expect("a key"),
            queries,
            elapsed: Duration::from_micros(micros),
        };
        assert_eq!(metrics(&[]), None);
        assert_eq!(
            metrics(&[timing("analytics", 1, 7), timing("default", 3, 12_345_678)]).as_deref(),
            Some(
                "db-analytics;dur=0.007;desc=\"1 query\", db-default;dur=12345.678;desc=\"3 queries\""
            )
        );
    }
}
