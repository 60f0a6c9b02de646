//! How transactions are begun.

use std::fmt;

use crate::bind_key::BindKey;
use crate::settings::BackendKind;

/// How a unit of work begins its transactions.
///
/// The defaults leave everything to the databases. Each option is said in the backend's own terms, and
/// is an error where it has none: see [`WorkError::Unsupported`](super::WorkError::Unsupported).
///
/// ```
/// use registry_core::{Isolation, WorkOptions};
///
/// let options = WorkOptions::new()
///     .isolation(Isolation::Serializable)
///     .read_only(true)
///     .for_bind("analytics", WorkOptions::new().isolation(Isolation::RepeatableRead));
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkOptions {
    isolation: Option<Isolation>,
    read_only: bool,
    deferrable: bool,
    of_binds: Vec<(String, WorkOptions)>,
}

/// How far a transaction is kept apart from others, in the words of the SQL standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Not for SQLite. PostgreSQL takes it for `ReadCommitted`.
    ReadUncommitted,
    /// The default of PostgreSQL. Not for SQLite.
    ReadCommitted,
    /// The default of MySQL and MariaDB. Not for SQLite.
    RepeatableRead,
    /// The only one that SQLite has.
    Serializable,
}

impl Isolation {
    fn sql(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "READ UNCOMMITTED",
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql().to_ascii_lowercase())
    }
}

impl WorkOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The isolation level of each transaction. Each database's own default, if nothing is said.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Whether the databases refuse to be written. `false` by default.
    ///
    /// On SQLite, a unit of work that may write begins with `BEGIN IMMEDIATE`: it waits for others that
    /// write, up to `busy_timeout`. One that reads first and writes later could fail at once.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Waits at the beginning until there is a snapshot that cannot fail later: for a transaction of
    /// PostgreSQL that is serializable and read-only. `false` by default.
    #[must_use]
    pub fn deferrable(mut self, deferrable: bool) -> Self {
        self.deferrable = deferrable;
        self
    }

    /// Other options for the bind of that key, which are all that counts for it.
    #[must_use]
    pub fn for_bind(mut self, key: impl Into<String>, options: WorkOptions) -> Self {
        self.of_binds.push((key.into(), options));
        self
    }

    pub(super) fn of(&self, key: BindKey) -> &Self {
        let own = self.of_binds.iter().rev().find(|(other, _)| key == **other);
        own.map_or(self, |(_, options)| options)
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The statements that begin such a transaction, or what there is not.
    pub(super) fn begin_sql(&self, backend: BackendKind) -> Result<String, String> {
        let isolation = self.isolation;
        let deferrable = || "deferrable transactions".to_owned();
        match backend {
            BackendKind::Postgres => {
                let mut sql = "BEGIN".to_owned();
                if let Some(isolation) = isolation {
                    sql += &format!(" ISOLATION LEVEL {}", isolation.sql());
                }
                if self.read_only {
                    sql += " READ ONLY";
                }
                if self.deferrable {
                    sql += " DEFERRABLE";
                }
                Ok(sql)
            }
            _ if self.deferrable => Err(deferrable()),
            BackendKind::Mysql => {
                let access = if self.read_only { " READ ONLY" } else { "" };
                let begin = format!("START TRANSACTION{access}");
                Ok(match isolation {
                    // For the next transaction, and for that alone.
                    Some(isolation) => {
                        format!("SET TRANSACTION ISOLATION LEVEL {}; {begin}", isolation.sql())
                    }
                    None => begin,
                })
            }
            BackendKind::Sqlite => match isolation {
                None | Some(Isolation::Serializable) => {
                    Ok(if self.read_only { "BEGIN" } else { "BEGIN IMMEDIATE" }.to_owned())
                }
                Some(other) => Err(format!("transactions that are {other}")),
            },
        }
    }
}
