//! How many bind variables a statement can have.

use std::fmt;

use diesel::backend::Backend;
use diesel::query_builder::QueryBuilder;
use diesel::result::Error as DieselError;

use crate::settings::BackendKind;
use crate::sql::Dialect;

/// A statement was refused and not sent, because it has more bind variables than the database takes.
///
/// PostgreSQL and MySQL count them in 16 bits, and take 65,535. SQLite takes 32,766, unless it was compiled with another
/// `SQLITE_MAX_VARIABLE_NUMBER`. The connection stays usable.
///
/// [`insert_batched`](crate::InsertBatchedDsl::insert_batched) and [`batched`](crate::batched) send many rows in several
/// statements. Diesel's `QueryBuilderError` contains this error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyBindVariables {
    /// The number of bind variables of the statement.
    pub count: usize,
    /// The largest number that the database takes.
    pub limit: usize,
    /// The kind of database.
    pub backend: BackendKind,
}

impl fmt::Display for TooManyBindVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, limit, backend } = self;
        let by_default = if *backend == BackendKind::Sqlite { " by default" } else { "" };
        write!(
            f,
            "this statement has {} bind variables, and {backend} takes {} at most{by_default}: send it in parts, such as the rows of an insert with `insert_batched`",
            Thousands(*count),
            Thousands(*limit),
        )
    }
}

impl std::error::Error for TooManyBindVariables {}

impl From<TooManyBindVariables> for DieselError {
    fn from(error: TooManyBindVariables) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

/// A number with a comma after each three digits.
struct Thousands(usize);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            small @ 0..1000 => write!(f, "{small}"),
            large => write!(f, "{},{:03}", Thousands(large / 1000), large % 1000),
        }
    }
}

/// A backend of Diesel whose statements have a limited number of bind variables.
pub trait BindVariables: Backend<QueryBuilder: Default + QueryBuilder<Self>> + Default {
    /// The dialect in which its bind variables are written.
    const DIALECT: Dialect;

    /// The largest number of bind variables in a statement.
    const LIMIT: usize;

    /// Fails if a statement with the collected values has too many for the database.
    ///
    /// # Errors
    ///
    /// [`TooManyBindVariables`], if the number is known before the statement is sent.
    fn check_collected(values: &Self::BindCollector<'_>) -> Result<(), TooManyBindVariables>;
}

/// The limit of the protocols of PostgreSQL and MySQL.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const SIXTEEN_BITS: usize = u16::MAX as usize;

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn check_count(count: usize, backend: BackendKind) -> Result<(), TooManyBindVariables> {
    let limit = SIXTEEN_BITS;
    if count <= limit { Ok(()) } else { Err(TooManyBindVariables { count, limit, backend }) }
}

#[cfg(feature = "postgres")]
impl BindVariables for diesel::pg::Pg {
    const DIALECT: Dialect = Dialect::Postgres;

    const LIMIT: usize = SIXTEEN_BITS;

    fn check_collected(values: &Self::BindCollector<'_>) -> Result<(), TooManyBindVariables> {
        check_count(values.binds.len(), BackendKind::Postgres)
    }
}

#[cfg(feature = "mysql")]
impl BindVariables for diesel::mysql::Mysql {
    const DIALECT: Dialect = Dialect::Mysql;

    const LIMIT: usize = SIXTEEN_BITS;

    fn check_collected(values: &Self::BindCollector<'_>) -> Result<(), TooManyBindVariables> {
        check_count(values.binds.len(), BackendKind::Mysql)
    }
}

#[cfg(feature = "sqlite")]
impl BindVariables for diesel::sqlite::Sqlite {
    const DIALECT: Dialect = Dialect::Sqlite;

    const LIMIT: usize = 32_766;

    /// Always succeeds: SQLite itself refuses the statement, and [`explain_sqlite_error`] names the reason. The limit may have
    /// been set at compile time, and Diesel does not tell how many values were collected.
    fn check_collected(_: &Self::BindCollector<'_>) -> Result<(), TooManyBindVariables> {
        Ok(())
    }
}

/// SQLite's error for the statement `sql`, or in its place [`TooManyBindVariables`], if that is what it means.
#[cfg(feature = "sqlite")]
pub(super) fn explain_sqlite_error(error: DieselError, sql: &str) -> DieselError {
    // SQLite has no code of its own for it.
    let is_meant = matches!(
        &error,
        DieselError::DatabaseError(_, information) if information.message() == "too many SQL variables"
    );
    if !is_meant {
        return error;
    }
    let count = crate::sql::count_bind_variables(Dialect::Sqlite, sql);
    let limit = <diesel::sqlite::Sqlite as BindVariables>::LIMIT;
    TooManyBindVariables { count, limit, backend: BackendKind::Sqlite }.into()
}

#[cfg(test)]
mod tests {
    use super::Thousands;

    #[test]
    fn numbers_have_a_comma_after_each_three_digits() {
        let shown = [0, 999, 1000, 65_535, 1_002_003].map(|number| Thousands(number).to_string());
        assert_eq!(shown, ["0", "999", "1,000", "65,535", "1,002,003"]);
    }
}
