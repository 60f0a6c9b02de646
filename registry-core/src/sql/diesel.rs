//! The SQL that Diesel generates, and its form in `debug_query`.

use diesel::backend::Backend;
use diesel::query_builder::{QueryBuilder, QueryFragment};

use super::dialect::Dialect;
use super::lexer::{Kind, Lexer};

/// The separator of Diesel's `debug_query` between the SQL and the bind values.
const BINDS: &str = "-- binds:";

/// The SQL of a query. A part that Diesel cannot generate is left out: it is an error when the query is run.
pub(crate) fn sql_of<DB>(query: &(impl QueryFragment<DB> + ?Sized)) -> String
where
    DB: Backend<QueryBuilder: Default> + Default,
{
    let mut sql = DB::QueryBuilder::default();
    let _ = query.to_sql(&mut sql, &DB::default());
    sql.finish()
}

/// The SQL in the output of `debug_query`, without the bind values after it, which must not appear in a log.
pub(crate) fn without_bind_values(dialect: Dialect, shown: &str) -> &str {
    let mut lexer = Lexer::new(dialect, shown);
    let mut end_of_last = 0;
    loop {
        let token = lexer.next();
        // Between two tokens there are comments and white space alone, so this is not the text of a literal.
        let gap = &shown[end_of_last..token.start];
        if let Some(at) = gap.find(BINDS) {
            return shown[..end_of_last + at].trim_end();
        }
        match token.kind {
            Kind::End => return shown.trim_end(),
            // The end of the SQL is unknown. Leaving out too much is better than showing a value.
            Kind::Unknown => {
                let rest = shown[token.start..].find(BINDS);
                return rest.map_or(shown, |at| &shown[..token.start + at]).trim_end();
            }
            _ => end_of_last = token.end,
        }
    }
}

/// Whether a statement sets, releases or rolls back to one of Diesel's own savepoints.
pub(crate) fn is_diesel_savepoint(sql: &str) -> bool {
    const STATEMENTS: [&str; 3] = ["SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT"];
    let name = STATEMENTS.iter().find_map(|statement| sql.strip_prefix(statement));
    name.is_some_and(|name| name.starts_with(" diesel_savepoint_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_values_are_left_out() {
        let without = |shown| without_bind_values(Dialect::Postgres, shown);
        assert_eq!(without("SELECT $1 -- binds: [1]"), "SELECT $1");
        assert_eq!(without("SELECT 1"), "SELECT 1");
        assert_eq!(without("SELECT '-- binds:', $1 -- binds: ['a']"), "SELECT '-- binds:', $1");
        assert_eq!(without("SELECT $1 -- why\n -- binds: ['-- binds:']"), "SELECT $1 -- why");
        assert_eq!(without("SELECT 'it\\', $1 -- binds: [1]"), "SELECT 'it\\', $1");
        assert_eq!(without("SELECT \"it -- binds: [1]"), "SELECT \"it");
    }

    #[test]
    fn savepoints_of_diesel_are_told_from_others() {
        assert!(is_diesel_savepoint("RELEASE SAVEPOINT diesel_savepoint_1"));
        assert!(is_diesel_savepoint("SAVEPOINT diesel_savepoint_0"));
        assert!(!is_diesel_savepoint("SAVEPOINT mine"));
        assert!(!is_diesel_savepoint("SELECT 1"));
    }
}
