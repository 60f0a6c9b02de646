//! Rows that refer to nothing, which SQLite does not look for while a table is rebuilt.

use std::collections::HashSet;
use std::fmt;

use diesel::QueryResult;

use crate::error::DriverError;

/// A row of a table that refers to a row which is not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BrokenReference {
    /// The table of the row.
    pub table: String,
    /// The row, unless its table has no rowids.
    pub rowid: Option<i64>,
    /// The table that it refers to.
    pub parent: String,
    /// Which foreign key of the table it is.
    pub key: i32,
}

impl fmt::Display for BrokenReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, rowid, parent, .. } = self;
        match rowid {
            Some(rowid) => write!(f, "the row {rowid} of `{table}`")?,
            None => write!(f, "a row of `{table}`")?,
        }
        write!(f, " refers to a row of `{parent}` that is not there")
    }
}

/// What was found, or why nothing could be.
pub(super) type References = QueryResult<Vec<BrokenReference>>;

/// An error if there are rows that refer to nothing and did not before.
pub(super) fn check(before: References, after: References) -> Result<(), DriverError> {
    let after = match (&before, after) {
        (_, Ok(after)) => after,
        // A foreign key of which SQLite can make nothing was there before.
        (Err(before), Err(after)) if before.to_string() == after.to_string() => return Ok(()),
        (_, Err(after)) => return Err(after.into()),
    };
    let before = before.unwrap_or_default();
    // There may be many.
    let before: HashSet<_> = before.iter().collect();
    let mut made = after.into_iter().filter(|reference| !before.contains(reference));
    match made.next() {
        Some(first) => Err(BrokenReferences { first, more: made.count() }.into()),
        None => Ok(()),
    }
}

/// Those that a migration made.
#[derive(Debug, thiserror::Error)]
#[error("a foreign key is broken after it: {first}{}", More(*more))]
struct BrokenReferences {
    first: BrokenReference,
    more: usize,
}

struct More(usize);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str("; so it is with 1 more row"),
            more => write!(f, "; so it is with {more} more rows"),
        }
    }
}
