//! What is told of the queries of a program: events, recorded queries, and where a query is told of at all.
//!
//! A query that is run with [`RunQueryDsl`](crate::RunQueryDsl) is observed as a whole, from the moment that it is sent until
//! its last row was read: [`observed`] is what `query/` holds meanwhile. All other statements on connections of an engine,
//! such as those of diesel-async's own methods, and `BEGIN` and `COMMIT`, are seen by the engine's instrumentation
//! (`engine/observe/instrumentation.rs`). `attribution.rs` tells the two apart. Either way a [`FinishedQuery`] is the result,
//! which [`finished`] hands to all who listen. When nobody listens, nothing is measured and nothing is formatted.
//!
//! | file | contents |
//! |---|---|
//! | [`query`] | [`RecordedQuery`], [`RecordedQueries`]: what users read |
//! | [`options`] | [`RecordOptions`]: how much is recorded |
//! | [`recorder`] | a bounded record of queries; the warning of a query that runs many times from one place |
//! | [`listeners`] | who listens: the registry, and the scopes that a task is in |
//! | [`observed`] | a query while it runs |
//! | [`text`] | what the text of a statement tells |
//! | [`finished`] | a query that has ended: to whom it is told |
//! | [`event`] | the event and the span of a query |
//! | [`activity`], [`latencies`] | counts and latencies of each database, since somebody looks |
//! | [`meters`] | the histogram of the durations of queries |
//! | [`tags`] | tags in the SQL of queries |
//! | [`timings`] | how long the queries of a scope took on each bind |
//! | [`assert_queries`] | the check of the number of queries, for tests |

#[cfg(feature = "dashboard")]
mod activity;
mod assert_queries;
mod event;
mod finished;
#[cfg(feature = "dashboard")]
mod latencies;
mod listeners;
pub(crate) mod meters;
mod observed;
mod options;
mod query;
mod recorder;
mod tags;
mod text;
mod timings;

#[cfg(feature = "dashboard")]
pub(crate) use activity::{ActivitySnapshot, Database, QueryCounts};
pub use assert_queries::assert_query_count;
pub(crate) use finished::{FinishedQuery, Statement, bind_values, is_wanted};
pub(crate) use listeners::{Listeners, RegistryTelemetry, ScopeTelemetry};
pub(crate) use observed::{ObservedQuery, QuerySubject};
pub use options::RecordOptions;
pub use query::{RecordedQueries, RecordedQuery};
pub(crate) use tags::QueryTags;
pub use tags::SqlTags;
#[cfg(feature = "axum")]
pub(crate) use timings::BindTiming;
