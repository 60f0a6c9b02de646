//! How options look in `Debug` and when they are serialized: statements are counted and not shown, as they may
//! contain secrets, and durations are texts with a unit.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serializer;

use super::pem::{Pem, shown_path};
use super::pooler::Pooler;
use super::reset_on_return::ResetOnReturn;
use super::share::Share;
use super::synchronous::Synchronous;
use super::when_behind::WhenBehind;
use super::when_pending::WhenPending;
use super::when_unknown::WhenUnknown;

/// The value of an option, as `Debug` shows it.
pub(super) struct Shown<'a, T>(pub(super) &'a T);

/// How the value of an option is shown: as `Debug` shows it, if the type says nothing else.
pub(super) trait ShowOption: fmt::Debug {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl<T: ShowOption> fmt::Debug for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

impl ShowOption for u32 {}
impl ShowOption for u64 {}

impl ShowOption for String {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The only option that is a text is a name. A URL that was written in its place is refused when the registry is
        // built, and must not be shown before that.
        let is_name = !self.contains([':', '@', '=']);
        fmt::Debug::fmt(if is_name { self.as_str() } else { "***" }, f)
    }
}

impl ShowOption for bool {}
impl ShowOption for Duration {}
impl ShowOption for ResetOnReturn {}
impl ShowOption for Pooler {}
impl ShowOption for Synchronous {}
impl ShowOption for Pem {}
impl ShowOption for WhenBehind {}
impl ShowOption for Share {}
impl ShowOption for WhenPending {}
impl ShowOption for WhenUnknown {}

impl ShowOption for PathBuf {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&shown_path(self), f)
    }
}

impl<T: ShowOption> ShowOption for Option<T> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => write!(f, "Some({:?})", Shown(value)),
            None => f.write_str("None"),
        }
    }
}

impl ShowOption for Vec<String> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            1 => f.write_str("1 statement"),
            count => write!(f, "{count} statements"),
        }
    }
}

pub(super) fn statements_as_places<S: Serializer>(
    statements: &[String],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(statements.iter().map(|_| "***"))
}

pub(super) fn duration_as_text<S: Serializer>(
    value: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*value))
}

pub(super) fn optional_duration_as_text<S: Serializer>(
    value: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => duration_as_text(value, serializer),
        None => serializer.serialize_none(),
    }
}

pub(super) fn optional_path_as_text<S: Serializer>(
    value: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(path) => serializer.collect_str(&shown_path(path)),
        None => serializer.serialize_none(),
    }
}
