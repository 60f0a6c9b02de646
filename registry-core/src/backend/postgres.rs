//! PostgreSQL.

use super::{Backend, sealed};
use crate::settings::BackendKind;

/// The connection type of PostgreSQL databases.
pub type Postgres = diesel_async::AsyncPgConnection;

impl sealed::Sealed for Postgres {}

impl Backend for Postgres {
    const KIND: BackendKind = BackendKind::Postgres;
}
