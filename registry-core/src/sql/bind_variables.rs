//! How many bind variables a statement has.

use super::dialect::Dialect;
use super::lexer::{Kind, Lexer};

/// The number of values that a statement needs. In PostgreSQL a value can be used several times, so that the highest number
/// counts.
pub(crate) fn count_bind_variables(dialect: Dialect, sql: &str) -> usize {
    let mut lexer = Lexer::new(dialect, sql);
    let mut count = 0;
    loop {
        let token = lexer.next();
        match token.kind {
            Kind::End => return count,
            Kind::Parameter => {
                let number = match dialect {
                    Dialect::Postgres => lexer.text(token)[1..].parse().ok(),
                    Dialect::Mysql | Dialect::Sqlite => None,
                };
                count = count.max(number.unwrap_or(count + 1));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_outside_of_literals_are_counted() {
        let count = count_bind_variables;
        assert_eq!(count(Dialect::Postgres, "SELECT $1, $2, '$9', $1 -- $8"), 2);
        assert_eq!(count(Dialect::Mysql, "SELECT ?, '?', ? FROM `?`"), 2);
        assert_eq!(count(Dialect::Sqlite, "VALUES (?, '?'), (?, [?])"), 2);
        assert_eq!(count(Dialect::Sqlite, "SELECT 1"), 0);
    }
}
