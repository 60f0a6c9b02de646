//! What the text of a statement tells: its operation, its table, and the text that people may see.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use foldhash::HashMap;

use crate::sql::{self, Dialect, Summary};

/// Of a longer statement the beginning is told, in bytes.
const LONGEST_TOLD: usize = 4096;

/// What a longer statement tells is read anew each time, in bytes. It is rarely run again with the same text.
const LONGEST_KEPT: usize = 4096;

/// How many statements a thread keeps. It forgets them all when there is another one.
const MOST_KEPT: usize = 256;

thread_local! {
    /// What was read, by the text of the statement: a program runs the same few statements again and again.
    static KNOWN: RefCell<HashMap<Arc<str>, Arc<StatementText>>> = RefCell::default();
}

/// The text of a statement, and what it tells.
pub(super) struct StatementText {
    dialect: Dialect,
    sql: Arc<str>,
    summary: Summary,
    masked: OnceLock<Arc<str>>,
}

impl StatementText {
    pub(super) fn of(dialect: Dialect, sql: &str) -> Arc<Self> {
        if sql.len() > LONGEST_KEPT {
            return Self::read(dialect, sql);
        }
        let known = KNOWN.try_with(|known| {
            let mut known = known.borrow_mut();
            match known.get(sql) {
                Some(text) if text.dialect == dialect => Arc::clone(text),
                _ => {
                    if known.len() >= MOST_KEPT {
                        known.clear();
                    }
                    let text = Self::read(dialect, sql);
                    known.insert(Arc::clone(&text.sql), Arc::clone(&text));
                    text
                }
            }
        });
        // A thread that ends has none.
        known.unwrap_or_else(|_| Self::read(dialect, sql))
    }

    fn read(dialect: Dialect, sql: &str) -> Arc<Self> {
        let (summary, masked) = (sql::summary(dialect, sql), OnceLock::new());
        Arc::new(Self { dialect, sql: sql.into(), summary, masked })
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The statement without its literals and comments, and not longer than is told.
    pub(super) fn masked(&self) -> &Arc<str> {
        self.masked.get_or_init(|| cut(sql::masked(self.dialect, &self.sql)).into())
    }
}

fn cut(mut statement: String) -> String {
    if statement.len() > LONGEST_TOLD {
        let end = (0..=LONGEST_TOLD).rev().find(|end| statement.is_char_boundary(*end));
        statement.truncate(end.unwrap_or_default());
        statement.push('…');
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> usize {
        KNOWN.with_borrow(|known| known.len())
    }

    #[test]
    fn what_a_statement_tells_is_read_once_for_each_dialect() {
        let text = StatementText::of(Dialect::Postgres, "SELECT \"a\" FROM t");
        assert_eq!(&**text.masked(), "SELECT \"a\" FROM t");
        let again = StatementText::of(Dialect::Postgres, "SELECT \"a\" FROM t");
        assert!(Arc::ptr_eq(&text, &again));
        let other = StatementText::of(Dialect::Mysql, "SELECT \"a\" FROM t");
        assert_eq!(&**other.masked(), "SELECT ? FROM t");
        let postgres = StatementText::of(Dialect::Postgres, "SELECT \"a\" FROM t");
        assert_eq!(&**postgres.masked(), "SELECT \"a\" FROM t");
    }

    #[test]
    fn kept_texts_are_bounded_in_number_and_length() {
        for number in 0..2 * MOST_KEPT {
            let text = StatementText::of(Dialect::Sqlite, &format!("SELECT a FROM t{number}"));
            assert_eq!(text.summary().table.as_deref(), Some(&*format!("t{number}")));
            assert!(known() <= MOST_KEPT);
        }
        let before = known();
        let long = format!("SELECT a FROM {}", "t".repeat(LONGEST_KEPT));
        let text = StatementText::of(Dialect::Sqlite, &long);
        assert_eq!(text.summary().operation.as_deref(), Some("SELECT"));
        assert!(text.masked().len() < long.len() && text.masked().ends_with('…'));
        assert_eq!(known(), before);
    }
}
