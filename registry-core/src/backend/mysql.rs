//! MySQL and MariaDB.

use super::{Backend, sealed};
use crate::settings::BackendKind;

/// The connection type of MySQL and MariaDB databases.
pub type Mysql = diesel_async::AsyncMysqlConnection;

impl sealed::Sealed for Mysql {}

impl Backend for Mysql {
    const KIND: BackendKind = BackendKind::Mysql;
}
