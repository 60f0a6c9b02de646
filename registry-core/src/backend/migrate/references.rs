//! Foreign keys that a migration has broken. SQLite does not check them while a table is rebuilt.

use std::collections::{HashMap, HashSet};
use std::fmt;

use diesel::QueryResult;

use crate::cause::DriverError;

/// A row with a foreign key that refers to a missing row.
#[derive(Debug)]
pub struct BrokenReference {
    /// The table of the row.
    pub table: String,
    /// The row, unless its table has no rowids.
    pub rowid: Option<i64>,
    /// The table that the row refers to.
    pub parent: String,
}

impl BrokenReference {
    /// Both tables, in lower case: SQLite ignores the case of their names.
    fn tables(&self) -> (String, String) {
        (self.table.to_lowercase(), self.parent.to_lowercase())
    }

    fn row(&self) -> (String, String, Option<i64>) {
        let (table, parent) = self.tables();
        (table, parent, self.rowid)
    }
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

/// The broken references of a table, or the reason why they could not be determined: SQLite cannot resolve one of the
/// table's foreign keys.
#[derive(Debug)]
pub struct TableReferences {
    /// The table.
    pub table: String,
    /// Its rows that refer to missing rows.
    pub broken: QueryResult<Vec<BrokenReference>>,
}

/// The result of the check of each table with foreign keys.
pub(super) type References = QueryResult<Vec<TableReferences>>;

/// An error if there are more broken references than there were before.
///
/// The references are counted for each pair of tables. No identifier of a row survives a migration: a table without rowids
/// has no identifiers, a rebuilt table may assign other ones, and a new key renumbers the rows of its table. So there are two
/// limits. If a migration repairs as many rows as it breaks, for the same pair of tables, the check does not notice. And
/// references that were already broken count as new if the migration renames one of the two tables.
pub(super) fn check(before: References, after: References) -> Result<(), DriverError> {
    let (before, after) = (before?, after?);
    let mut counts: HashMap<_, usize> = HashMap::new();
    let mut rows = HashSet::new();
    let mut unreadable = HashSet::new();
    for TableReferences { table, broken } in &before {
        match broken {
            Ok(broken) => {
                for reference in broken {
                    *counts.entry(reference.tables()).or_default() += 1;
                    rows.insert(reference.row());
                }
            }
            Err(error) => {
                unreadable.insert((table.to_lowercase(), error.to_string()));
            }
        }
    }
    let mut made = Vec::new();
    let mut grown = 0;
    for TableReferences { table, broken } in after {
        let broken = match broken {
            Ok(broken) => broken,
            Err(error) if unreadable.contains(&(table.to_lowercase(), error.to_string())) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut of_pairs: HashMap<_, Vec<BrokenReference>> = HashMap::new();
        for reference in broken {
            of_pairs.entry(reference.tables()).or_default().push(reference);
        }
        for (pair, references) in of_pairs {
            let more = references.len().saturating_sub(counts.get(&pair).copied().unwrap_or(0));
            if more > 0 {
                grown += more;
                made.extend(references);
            }
        }
    }
    // The first reference that was not broken before, if that can be determined.
    made.sort_by_key(|made| (rows.contains(&made.row()), made.row()));
    match made.into_iter().next() {
        Some(first) => Err(BrokenReferences { first, more: grown - 1 }.into()),
        None => Ok(()),
    }
}

/// The references that a migration has broken.
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
