//! The tags that a scope has set.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tags that a scope has set. Mostly one or two, so they are searched one by one.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct ScopeTags(Mutex<Vec<(String, String)>>);

impl ScopeTags {
    /// Sets a tag, or replaces its value. An empty value removes it.
    pub(in crate::telemetry) fn set(&self, key: &str, value: String) {
        let mut tags = self.lock();
        tags.retain(|(known, _)| known != key);
        if !value.is_empty() {
            tags.push((key.to_owned(), value));
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<String> {
        self.lock().iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
