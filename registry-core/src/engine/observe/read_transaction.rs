//! The transaction in which a session reads behind a transaction pooler.

use crate::backend::position::{ServerIdentity, ServerState};
use crate::settings::Role;

/// The transaction that keeps a read session behind a transaction pooler from writing.
///
/// The next transaction of the session may be on another server, so it has to be found out where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadTransaction {
    /// The statements that have begun it.
    pub(crate) begin: &'static str,
    pub(crate) place: ReadPlace,
}

/// Where the transactions of a read session have to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadPlace {
    /// Wherever the pooler leads.
    Anywhere,
    Primary,
    /// On the replica that was found fit for the read.
    Replica(ServerIdentity),
}

impl ReadPlace {
    /// Whether a transaction on this server is where it has to be. What a replica had replayed, it has replayed still.
    pub(crate) fn is_on(self, server: &ServerState) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Primary => server.role == Some(Role::Primary),
            Self::Replica(identity) => server.identity.is_same(identity),
        }
    }
}
