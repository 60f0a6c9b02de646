//! The options of a unit of work. Each backend translates them into its `BEGIN`, in the folder of the backend.

use std::fmt;

use crate::settings::keys::BindKey;
use crate::settings::keys::WrongKeys;

/// How a unit of work begins its transactions, in which order it commits them, and how often it is retried.
///
/// The defaults leave isolation to the databases, commit in the order of the first touch, and retry nothing. Each option is
/// translated into the backend's own SQL. An option that a backend does not have is an error when its transaction is
/// begun: [`WorkError::Unsupported`](crate::WorkError::Unsupported).
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
///
/// Pass them to [`Registry::transaction_with`](crate::Registry::transaction_with) or
/// [`Registry::begin_with`](crate::Registry::begin_with), or make them the defaults of a registry with
/// [`RegistryBuilder::work`](crate::RegistryBuilder::work).
///
/// A key that no bind has, here or in [`for_bind`](Self::for_bind), is an error when the options are first used:
/// [`WorkError::Keys`](crate::WorkError::Keys), or a [`SettingsError`](crate::SettingsError) when a registry is built
/// with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkOptions {
    isolation: Option<Isolation>,
    read_only: bool,
    deferrable: bool,
    commit_order: Vec<String>,
    retries: u32,
    of_binds: Vec<(String, WorkOptions)>,
}

/// How far a transaction is isolated from others, by the levels of the SQL standard.
///
/// ```
/// use registry_core::{Isolation, WorkOptions};
///
/// let options = WorkOptions::new().isolation(Isolation::RepeatableRead);
/// assert_eq!(options, WorkOptions::new().repeatable_read());
/// assert_eq!(Isolation::RepeatableRead.to_string(), "repeatable read");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Not for SQLite. PostgreSQL treats it as `ReadCommitted`.
    ReadUncommitted,
    /// The default of PostgreSQL. Not for SQLite.
    ReadCommitted,
    /// The default of MySQL and MariaDB. Not for SQLite.
    RepeatableRead,
    /// The only level that SQLite has.
    Serializable,
}

impl Isolation {
    /// The level as SQL writes it.
    pub(crate) fn sql(self) -> &'static str {
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

    /// The isolation level of each transaction. By default the level of the database.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Serializable transactions: [`Isolation::Serializable`]. PostgreSQL fails one that cannot be serialized, at the
    /// latest when it is committed. Such a transaction should be run again: see [`retries`](Self::retries).
    #[must_use]
    pub fn serializable(self) -> Self {
        self.isolation(Isolation::Serializable)
    }

    /// Transactions that see one snapshot: [`Isolation::RepeatableRead`].
    #[must_use]
    pub fn repeatable_read(self) -> Self {
        self.isolation(Isolation::RepeatableRead)
    }

    /// Transactions in which each statement sees what was committed before it: [`Isolation::ReadCommitted`].
    #[must_use]
    pub fn read_committed(self) -> Self {
        self.isolation(Isolation::ReadCommitted)
    }

    /// Whether the transactions are read-only, so that the databases refuse writes. `false` by default.
    ///
    /// On SQLite, a unit of work that may write begins with `BEGIN IMMEDIATE`: it waits for other writers, for
    /// `busy_timeout` at most. A transaction that only reads at first and writes later could fail at once.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Makes a transaction of PostgreSQL that is serializable and read-only `DEFERRABLE`: it waits at its beginning for a
    /// snapshot with which it cannot fail later. `false` by default.
    #[must_use]
    pub fn deferrable(mut self, deferrable: bool) -> Self {
        self.deferrable = deferrable;
        self
    }

    /// The order in which binds are committed, by their keys. Binds that are not listed are committed after the listed
    /// ones, in the order of their first touch. By default no bind is listed.
    ///
    /// It applies wherever no other order is given: to [`commit`](crate::UnitOfWork::commit), transactions and scopes.
    /// The key of a bind that was not touched is ignored. A key that no bind has, or that is given twice, is an error,
    /// and nothing is committed.
    #[must_use]
    pub fn commit_order<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.commit_order = keys.into_iter().map(Into::into).collect();
        self
    }

    /// How often `transaction_with` runs its closure again after a transient failure: a deadlock, a serialization
    /// failure, a connection that was lost before the commit, a server that takes no writes now. 0 by default.
    ///
    /// [`Registry::transaction_with`](crate::Registry::transaction_with) documents the conditions and the pause. It has
    /// no effect anywhere else, because without a closure there is nothing to run again.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Other options for the bind of that key. They replace these options for that bind as a whole. The order of commits and
    /// the retries belong to the unit of work, and have no effect in `options`.
    #[must_use]
    pub fn for_bind(mut self, key: impl Into<String>, options: WorkOptions) -> Self {
        self.of_binds.push((key.into(), options));
        self
    }

    /// The keys of [`commit_order`](Self::commit_order).
    pub(crate) fn into_commit_order(self) -> Vec<String> {
        self.commit_order
    }

    pub(crate) fn retry_limit(&self) -> u32 {
        self.retries
    }

    /// Fails if the options name a key that no bind has.
    pub(crate) fn check_keys(&self, known: &[BindKey]) -> Result<(), WrongKeys> {
        if self.commit_order.is_empty() && self.of_binds.is_empty() {
            return Ok(());
        }
        WrongKeys::check_commit_order(&self.commit_order, known)?;
        let keys: Vec<&str> = self.of_binds.iter().map(|(key, _)| key.as_str()).collect();
        WrongKeys::check_known(&keys, known)
    }

    /// The options for the bind of that key.
    pub(crate) fn for_key(&self, key: &str) -> &Self {
        let own = self.of_binds.iter().rev().find(|(other, _)| *key == **other);
        own.map_or(self, |(_, options)| options)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(crate) fn is_deferrable(&self) -> bool {
        self.deferrable
    }

    /// The isolation level. `None` means the default of the database.
    pub(crate) fn isolation_level(&self) -> Option<Isolation> {
        self.isolation
    }
}
