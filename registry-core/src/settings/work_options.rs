//! How transactions are begun.

use std::fmt;

use crate::settings::keys::BindKey;
use crate::settings::keys::WrongKeys;

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
///
/// Keys that no bind has, here or in [`for_bind`](Self::for_bind), are an error where the options are first used:
/// [`WorkError::Keys`](super::WorkError::Keys), or of the settings when a registry is
/// [built](crate::RegistryBuilder::work) with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkOptions {
    isolation: Option<Isolation>,
    read_only: bool,
    deferrable: bool,
    commit_order: Vec<String>,
    retries: u32,
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

    /// The isolation level of each transaction. Each database's own default, if nothing is said.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Serializable transactions: [`Isolation::Serializable`]. PostgreSQL refuses one that cannot be serialized, at
    /// the latest when it is committed, and it is to be run again: see [`retries`](Self::retries).
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

    /// The order in which binds are committed, by their keys; binds that are not among them come after those, in the
    /// order of their first touch. In the order of their first touch all of them, if nothing is said.
    ///
    /// It holds wherever no other order is given: for [`commit`](super::UnitOfWork::commit), transactions and scopes.
    /// A key that was not touched is passed over. One that no bind has, or that is there twice, is an error, and
    /// nothing is committed.
    #[must_use]
    pub fn commit_order<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.commit_order = keys.into_iter().map(Into::into).collect();
        self
    }

    /// How often `transaction_with` runs its closure again after a transient failure: a deadlock, a serialization
    /// failure, a connection that was lost before the commit, a server that takes no writes now. 0 by default.
    ///
    /// See [`Registry::transaction_with`](crate::Registry::transaction_with) for when, and after which pause. It has
    /// no effect on anything else, where nothing can be run again.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Other options for the bind of that key, which are all that counts for it. The order of commits and the retries
    /// are those of the whole unit of work, and have no effect in `options`.
    #[must_use]
    pub fn for_bind(mut self, key: impl Into<String>, options: WorkOptions) -> Self {
        self.of_binds.push((key.into(), options));
        self
    }

    pub(crate) fn into_commit_order(self) -> Vec<String> {
        self.commit_order
    }

    pub(crate) fn retry_limit(&self) -> u32 {
        self.retries
    }

    /// Whether the binds have all the keys that it names.
    pub(crate) fn check_keys(&self, known: &[BindKey]) -> Result<(), WrongKeys> {
        if self.commit_order.is_empty() && self.of_binds.is_empty() {
            return Ok(());
        }
        WrongKeys::check_commit_order(&self.commit_order, known)?;
        let keys: Vec<&str> = self.of_binds.iter().map(|(key, _)| key.as_str()).collect();
        WrongKeys::check_known(&keys, known)
    }

    pub(crate) fn for_key(&self, key: BindKey) -> &Self {
        let own = self.of_binds.iter().rev().find(|(other, _)| key == **other);
        own.map_or(self, |(_, options)| options)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(crate) fn is_deferrable(&self) -> bool {
        self.deferrable
    }

    /// The isolation level, if the database's own default is not to be used.
    pub(crate) fn isolation_level(&self) -> Option<Isolation> {
        self.isolation
    }
}
