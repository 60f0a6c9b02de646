//! What is measured, and how it gets to the `metrics` facade. Without the feature `metrics`, nothing is measured.
//!
//! | file | contents |
//! |---|---|
//! | [`list`] | every metric: its name, its kind, its unit and its help |
//! | [`instruments`] | [`Gauge`], [`Counter`], [`Histogram`] and [`Timer`], which do nothing without the feature |
//! | [`describe`](mod@describe) | the help and the units, for the recorder |
//!
//! This folder knows no engine. What an engine measures is in `engine/observe/meters.rs`, and what is measured of a query
//! in `telemetry/meters.rs`.
//!
//! # Adding a metric
//!
//! An entry in [`list`], its use, a row in the table of `docs/guide/watching.md`, and an occurrence in
//! `tests/metrics/everything.rs`. The tests compare these four.

mod describe;
mod instruments;
pub(crate) mod list;

#[cfg(feature = "metrics")]
pub use self::describe::describe_metrics;
pub(crate) use self::describe::describe_once_more;
pub(crate) use self::instruments::{Counter, Gauge, Histogram, Timer};
#[cfg(feature = "metrics")]
pub(crate) use self::instruments::{has_recorder, recorder_id};
