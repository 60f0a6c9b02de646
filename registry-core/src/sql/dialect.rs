//! The dialect of SQL text.

use crate::settings::BackendKind;

/// The dialect of SQL text. Dialects differ in their lexical rules and in their statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB, whatever the server's `sql_mode`.
    Mysql,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    /// The dialect of a kind of database.
    pub(crate) const fn of(kind: BackendKind) -> Self {
        match kind {
            BackendKind::Postgres => Self::Postgres,
            BackendKind::Mysql => Self::Mysql,
            BackendKind::Sqlite => Self::Sqlite,
        }
    }
}
