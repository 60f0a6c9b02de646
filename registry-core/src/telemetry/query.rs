//! Recorded queries, for users.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::bind_key::BindKey;
use crate::serialized::{as_optional_text, as_seconds, as_text};
use crate::settings::Role;

/// A query that was run, as [`Scope::queries`](crate::Scope::queries) and [`Registry::queries`](crate::Registry::queries)
/// return it. It has no value in it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RecordedQuery {
    /// The SQL, with `?` in place of its literals, and without comments. Of a query that is sent as several statements, such
    /// as an insert of many rows into SQLite, the first one.
    #[serde(serialize_with = "as_text")]
    pub statement: Arc<str>,
    /// The key of the bind.
    pub bind: BindKey,
    /// The tenant, if the query was run for one.
    #[serde(serialize_with = "as_optional_text")]
    pub tenant: Option<Arc<str>>,
    /// Whether it was run on the bind's own server, or on a replica.
    pub role: Role,
    /// What the statement does: `SELECT`, `INSERT`. `None` if its text does not begin with a word.
    #[serde(serialize_with = "as_optional_text")]
    pub operation: Option<Arc<str>>,
    /// The first table that is read, or the one that is changed. `None` if the text names none.
    #[serde(serialize_with = "as_optional_text")]
    pub table: Option<Arc<str>>,
    /// When it was sent.
    #[serde(serialize_with = "as_timestamp")]
    pub started: SystemTime,
    /// How long it took until the last row was read. Serialized in seconds. The wait for a connection is not in it,
    /// except for that for a new one, if the query was run again.
    #[serde(serialize_with = "as_seconds")]
    pub elapsed: Duration,
    /// The place in the program that runs it. `None` for statements that are not run with
    /// [`RunQueryDsl`](crate::RunQueryDsl).
    #[serde(serialize_with = "as_optional_text")]
    pub place: Option<&'static Location<'static>>,
    /// How many rows it has returned, or changed. `None` if that is not known.
    pub rows: Option<u64>,
    /// The kind of the error, if it failed: `unique_violation`, `cancelled`.
    pub error: Option<&'static str>,
}

impl RecordedQuery {
    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let names = [&self.tenant, &self.operation, &self.table];
        let names = names.into_iter().flatten().map(|name| name.len()).sum::<usize>();
        size_of::<Self>() + self.statement.len() + names
    }
}

#[cfg(test)]
impl RecordedQuery {
    /// A query on the default bind that has succeeded, without a place.
    pub(super) fn of_test(statement: &str, millis: u64) -> Self {
        Self {
            statement: statement.into(),
            bind: BindKey::DEFAULT,
            tenant: None,
            role: Role::Primary,
            operation: None,
            table: None,
            started: SystemTime::now(),
            elapsed: Duration::from_millis(millis),
            place: None,
            rows: None,
            error: None,
        }
    }
}

/// One line: the bind and the tenant, how long it took, the rows or the error, the statement, and the place.
impl fmt::Display for RecordedQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bind)?;
        if let Some(tenant) = &self.tenant {
            write!(f, "/{tenant}")?;
        }
        write!(f, " {:.1}ms", self.elapsed.as_secs_f64() * 1000.0)?;
        match (self.error, self.rows) {
            (Some(error), _) => write!(f, " {error}")?,
            (None, Some(1)) => write!(f, " 1 row")?,
            (None, Some(rows)) => write!(f, " {rows} rows")?,
            (None, None) => {}
        }
        write!(f, "  {}", self.statement)?;
        match self.place {
            Some(place) => write!(f, "  at {place}"),
            None => Ok(()),
        }
    }
}

/// The queries that were recorded, from the oldest to the newest. It dereferences to a slice of them.
///
/// Its `Display` has a line for each query.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RecordedQueries {
    pub(super) queries: Vec<RecordedQuery>,
    pub(super) slowest: Vec<RecordedQuery>,
    pub(super) total: u64,
    pub(super) is_recording: bool,
}

impl RecordedQueries {
    /// How many queries there were since the recording began, with those that were dropped for newer ones.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many queries were dropped for newer ones, as the record is [bounded](crate::RecordOptions).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.total.saturating_sub(self.queries.len() as u64)
    }

    /// The slowest queries, the slowest first: 20 at most, of the last 15 minutes. Only a registry keeps them.
    #[must_use]
    pub fn slowest(&self) -> &[RecordedQuery] {
        &self.slowest
    }

    /// Whether queries are recorded. If not, no query here does not mean that none was run.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.is_recording
    }
}

impl Deref for RecordedQueries {
    type Target = [RecordedQuery];

    fn deref(&self) -> &[RecordedQuery] {
        &self.queries
    }
}

impl IntoIterator for RecordedQueries {
    type Item = RecordedQuery;
    type IntoIter = std::vec::IntoIter<RecordedQuery>;

    fn into_iter(self) -> Self::IntoIter {
        self.queries.into_iter()
    }
}

impl fmt::Display for RecordedQueries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_recording {
            return f.write_str("queries are not recorded");
        }
        if self.dropped() > 0 {
            writeln!(f, "({} older queries were dropped)", self.dropped())?;
        }
        for (at, query) in self.queries.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{:>3}. {query}", self.dropped() + at as u64 + 1)?;
        }
        Ok(())
    }
}

fn as_timestamp<S: serde::Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*at))
}
