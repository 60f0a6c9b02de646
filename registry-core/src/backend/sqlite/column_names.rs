//! The column names of the last queries, so that SQLite is not asked for them each time.

use std::sync::Arc;

use diesel::SqliteConnection;
use diesel::connection::LoadConnection;
use diesel::row::IntoOwnedRow;
use diesel::sqlite::Sqlite;

/// The column names of a result, which its rows share.
pub(super) type Names =
    <<SqliteConnection as LoadConnection>::Row<'static, 'static> as IntoOwnedRow<
        'static,
        Sqlite,
    >>::Cache;

/// How many queries are remembered.
const CAPACITY: usize = 16;

/// The column names of the last queries of a connection, the most recently used first.
#[derive(Default)]
pub(super) struct ColumnNames(Vec<(Arc<str>, Names)>);

impl ColumnNames {
    /// The names, if the query is known.
    pub(super) fn find(&mut self, sql: &Arc<str>) -> Option<Names> {
        let at = self.0.iter().position(|(known, _)| known == sql)?;
        self.0[..=at].rotate_right(1);
        self.0.first().map(|(_, names)| names.clone())
    }

    pub(super) fn remember(&mut self, sql: &Arc<str>, names: &Names) {
        self.0.truncate(CAPACITY - 1);
        self.0.insert(0, (Arc::clone(sql), names.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_queries_are_remembered() {
        let sql = |number: usize| Arc::<str>::from(format!("SELECT {number}"));
        let mut names = ColumnNames::default();
        for number in 0..=CAPACITY {
            names.remember(&sql(number), &None);
            // Used again each time, so it stays.
            assert!(names.find(&sql(0)).is_some());
        }
        assert!(names.find(&sql(1)).is_none(), "there is no room for it");
        assert!((2..=CAPACITY).all(|number| names.find(&sql(number)).is_some()));
        assert_eq!(names.0.len(), CAPACITY);
    }
}
