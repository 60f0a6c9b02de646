//! The options of one transaction of a session. Each backend translates them into its `BEGIN`, in the folder of the backend.

#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::work_options::{Isolation, WorkOptions};

/// How a transaction is begun. What is `None` is left to the database, and to the defaults of its session.
#[derive(Debug, Clone, Copy, Default)]
pub struct TransactionOptions {
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) isolation: Option<Isolation>,
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) access: Option<Access>,
    #[cfg(feature = "postgres")]
    pub(crate) deferrable: Option<bool>,
    #[cfg(feature = "sqlite")]
    pub(crate) lock: Option<SqliteLock>,
}

/// The access mode of a transaction.
#[cfg(any(feature = "postgres", feature = "mysql"))]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl Access {
    /// The mode as SQL writes it.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::ReadOnly => "READ ONLY",
            Self::ReadWrite => "READ WRITE",
        }
    }
}

/// The lock that a transaction of SQLite takes at its beginning.
#[cfg(feature = "sqlite")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum SqliteLock {
    Immediate,
    Exclusive,
}

impl TransactionOptions {
    /// A transaction that only reads, and whose queries all see the same state. SQLite has no levels: there, the state that
    /// the first query has seen stays until the end of any transaction.
    pub(crate) fn snapshot() -> Self {
        Self {
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            isolation: Some(Isolation::RepeatableRead),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            access: Some(Access::ReadOnly),
            #[cfg(feature = "postgres")]
            deferrable: None,
            #[cfg(feature = "sqlite")]
            lock: None,
        }
    }
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl TransactionOptions {
    /// The options of a transaction of a unit of work.
    pub(crate) fn of_work(options: &WorkOptions) -> Self {
        Self {
            isolation: options.isolation_level(),
            access: options.is_read_only().then_some(Access::ReadOnly),
            #[cfg(feature = "postgres")]
            deferrable: options.is_deferrable().then_some(true),
            #[cfg(feature = "sqlite")]
            lock: None,
        }
    }
}
