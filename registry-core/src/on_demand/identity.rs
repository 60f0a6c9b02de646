//! The identity of an engine, and the aliases by which an open engine is found quickly.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use crate::settings::{
    BindKey, Connector, CredentialSource, DatabaseUrl, EngineSettings, ReplicaSettings,
};

/// The identity of an engine: its URLs with user and password, its options, its role and its replicas, the source of its
/// credentials and its connector. Two requests with equal identities share one engine. The bind is not a part of the identity, so binds can share an
/// engine.
#[derive(Clone)]
pub(crate) struct EngineIdentity {
    settings: Arc<EngineSettings>,
    hash: u64,
}

/// Seeded at random in each process, so that an attacker cannot choose URLs whose hashes collide.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl EngineIdentity {
    pub(crate) fn new(settings: EngineSettings) -> Self {
        let hash = HASHER.hash_one((&settings.url, &settings.options));
        Self { settings: Arc::new(settings), hash }
    }

    pub(crate) fn settings(&self) -> &Arc<EngineSettings> {
        &self.settings
    }
}

impl PartialEq for EngineIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && (Arc::ptr_eq(&self.settings, &other.settings)
                || is_same(&self.settings, &other.settings))
    }
}

fn is_same(own: &EngineSettings, others: &EngineSettings) -> bool {
    let same_credentials = match (&own.credentials, &others.credentials) {
        (None, None) => true,
        (Some(own), Some(others)) => CredentialSource::is_same(own, others),
        _ => false,
    };
    let same_connector = match (&own.connector, &others.connector) {
        (None, None) => true,
        (Some(own), Some(others)) => Connector::is_same(own, others),
        _ => false,
    };
    same_credentials
        && same_connector
        && own.role == others.role
        && own.url == others.url
        && own.migrate_url == others.migrate_url
        && own.options == others.options
        && own.replicas.len() == others.replicas.len()
        && own.replicas.iter().zip(&*others.replicas).all(is_same_replica)
}

fn is_same_replica((own, others): (&ReplicaSettings, &ReplicaSettings)) -> bool {
    own.weight == others.weight && is_same(&own.settings, &others.settings)
}

impl Eq for EngineIdentity {}

impl Hash for EngineIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Does not show the password.
impl fmt::Debug for EngineIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineIdentity").field(&self.settings.url).finish()
    }
}

/// The key of a caller's request for an engine. An alias of an open engine is remembered, because a lookup by alias is
/// faster than computing the identity, for which settings are merged or a resolver is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EngineAlias {
    Tenant {
        key: BindKey,
        /// How often the settings of the bind had been replaced. After a replacement, older aliases match no engine.
        generation: u64,
        tenant: Arc<str>,
    },
    /// A URL for which the caller gave no options.
    Url(BindKey, DatabaseUrl),
}
