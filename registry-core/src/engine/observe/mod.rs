//! What is seen of an engine and its connections. Nothing here acts on them.
//!
//! | file | has |
//! |---|---|
//! | [`caller`] | the task that calls, as a number |
//! | [`watch`] | [`ConnectionWatch`](watch::ConnectionWatch): what is known of one connection |
//! | [`statement_errors`] | what is remembered of the errors of its statements |
//! | [`error_consequences`] | what those errors mean, for it and for others |
//! | [`instrumentation`] | Diesel's events of a connection, which its watch hears of |
//! | [`invalidation`] | what one connection finds out that concerns the others of its engine |
//! | [`holders`] | which tasks have the connections of an engine |
//! | [`stats`] | the counters of an engine, with their spans and events |
//! | [`events`] | events that do not belong to one connection |
//! | [`meters`] | the metrics, through the `metrics` facade |
//! | [`status`] | [`EngineStatus`](status::EngineStatus), the snapshot that users get |

pub(super) mod caller;
mod error_consequences;
pub(super) mod events;
pub(super) mod holders;
pub(super) mod instrumentation;
pub(super) mod invalidation;
pub(super) mod meters;
pub(super) mod statement_errors;
pub(super) mod stats;
pub(super) mod status;
pub(super) mod watch;
