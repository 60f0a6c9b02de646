//! When two engines would be one.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use crate::settings::{CredentialSource, EngineSettings};

/// What makes an engine the one that it is: its URLs with user and password, its options, and whom
/// it asks for credentials. The bind is no part of it.
#[derive(Clone)]
pub(crate) struct EngineIdentity {
    settings: Arc<EngineSettings>,
    hash: u64,
}

/// Other hashes in each process: nobody can choose URLs that collide.
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
        f.debug_tuple("Identity").field(&self.settings.url).finish()
    }
}
