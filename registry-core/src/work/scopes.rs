//! Scopes by a key of the program's own.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

use super::scope::Scope;
use crate::registry::Registry;

impl Registry {
    /// Scopes that are told apart by another key than the task: by what `key` returns, at each use.
    pub fn scopes_by<K: Eq + Hash>(
        &self,
        key: impl Fn() -> K + Send + Sync + 'static,
    ) -> Scopes<K> {
        Scopes { registry: self.clone(), key: Box::new(key), open: Mutex::default() }
    }
}

/// Scopes by a key that is not the task: see [`Registry::scopes_by`].
///
/// Each is there from its first use until it is [removed](Self::remove).
pub struct Scopes<K> {
    registry: Registry,
    key: Box<dyn Fn() -> K + Send + Sync>,
    open: Mutex<HashMap<K, Scope>>,
}

impl<K: Eq + Hash> Scopes<K> {
    /// The scope of the current key, made if there is none yet.
    #[must_use]
    #[track_caller]
    pub fn current(&self) -> Scope {
        let key = (self.key)();
        let made_at = Location::caller();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || self.registry.new_scope_at(None, made_at);
        open.entry(key).or_insert_with(new).clone()
    }

    /// Ends the scope of the current key: rolls back what is open, and forgets it.
    pub async fn remove(&self) {
        let key = (self.key)();
        let scope = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        if let Some(scope) = scope {
            scope.end().await;
        }
    }
}

impl<K> fmt::Debug for Scopes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Scopes").field("open", &open.len()).finish_non_exhaustive()
    }
}
