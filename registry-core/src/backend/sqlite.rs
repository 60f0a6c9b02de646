//! SQLite.

use diesel::SqliteConnection;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
// Linked for its feature `bundled`: SQLite is compiled in, so that nothing needs installing.
use libsqlite3_sys as _;

use super::{Backend, sealed};
use crate::settings::BackendKind;

/// The connection type of SQLite databases.
pub type Sqlite = SyncConnectionWrapper<SqliteConnection>;

impl sealed::Sealed for Sqlite {}

impl Backend for Sqlite {
    const KIND: BackendKind = BackendKind::Sqlite;
}
