//! The observed state of an engine and its connections. Nothing in this folder acts on a connection.
//!
//! | file | contents |
//! |---|---|
//! | [`caller`] | the number of the calling task |
//! | [`watch`] | [`ConnectionWatch`](watch::ConnectionWatch): the observed state of one connection |
//! | [`start_times`] | when the statements under way began that are told as queries of their own |
//! | [`statement_errors`] | the record of the errors of a connection's statements |
//! | [`error_consequences`] | the consequences of these errors for the connection and for other connections |
//! | [`instrumentation`] | Diesel's events of a connection, which are passed to its watch |
//! | [`invalidation`] | findings on one connection that concern the other connections of its engine |
//! | [`holders`] | the tasks that hold the connections of an engine |
//! | [`since`] | [`AcquiresSince`](since::AcquiresSince): what an engine has done between two snapshots |
//! | [`stats`] | the counters of an engine, with their spans and events |
//! | [`events`] | events that do not belong to one connection |
//! | [`meters`] | the metrics, through the `metrics` facade |
//! | [`write_mark`] | whether something may have been written on a connection, and where: what scopes keep of it |
//! | [`write_account`] | for which scopes the writes of a checkout count |
//! | [`read_transaction`] | the transaction in which a session reads behind a transaction pooler |
//! | [`status`] | [`EngineStatus`](status::EngineStatus), the public snapshot |

pub(super) mod caller;
mod error_consequences;
pub(super) mod events;
pub(super) mod holders;
pub(super) mod instrumentation;
pub(super) mod invalidation;
pub(super) mod meters;
pub(crate) mod read_transaction;
pub(super) mod since;
mod start_times;
pub(super) mod statement_errors;
pub(super) mod stats;
pub(super) mod status;
pub(super) mod watch;
pub(crate) mod write_account;
pub(crate) mod write_mark;
