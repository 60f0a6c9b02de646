//! When two requests mean the same engine, and the aliases by which an open engine is found quickly.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use crate::settings::{BindKey, CredentialSource, DatabaseUrl, EngineSettings};

/// What makes two engines the same: URLs with user and password, options, and the source of credentials. The bind
/// is no part of it, so binds can share an engine.
#[derive(Clone)]
pub(crate) struct EngineIdentity {
    settings: Arc<EngineSettings>,
    hash: u64,
}

/// Seeded differently in each process, so that nobody can choose URLs whose hashes collide.
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
        let (own, others) = (&self.settings, &other.settings);
        let same_credentials = match (&own.credentials, &others.credentials) {
            (None, None) => true,
            (Some(own), Some(others)) => CredentialSource::is_same(own, others),
            _ => false,
        };
        self.hash == other.hash
            && (Arc::ptr_eq(own, others)
                || same_credentials
                    && own.url == others.url
                    && own.migrate_url == others.migrate_url
                    && own.options == others.options)
    }
}

impl Eq for EngineIdentity {}

impl Hash for EngineIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Without the password.
impl fmt::Debug for EngineIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EngineIdentity").field(&self.settings.url).finish()
    }
}

/// What callers request an engine by. An alias of an open engine is remembered, since it is looked up faster than
/// the identity is worked out (settings have to be merged for it, or a resolver asked).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EngineAlias {
    Tenant {
        key: BindKey,
        /// How often the settings of the bind had been replaced, so that aliases from before a replacement match
        /// nothing.
        generation: u64,
        tenant: Arc<str>,
    },
    /// A URL for which the caller gave no options.
    Url(BindKey, DatabaseUrl),
}
