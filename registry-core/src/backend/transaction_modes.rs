//! Databases whose transactions have modes.

use super::driver::Backend;

/// A database in which each transaction has an isolation level and an access mode: PostgreSQL, MySQL and MariaDB.
///
/// SQLite has neither: its transactions are serializable, and any of them may write.
#[diagnostic::on_unimplemented(
    message = "a transaction on a connection of the type `{Self}` has no isolation level and no access mode",
    note = "SQLite has `.immediate()` and `.exclusive()`: its transactions are always serializable"
)]
pub trait TransactionModes: Backend {}
