//! How much is recorded.

/// Whether queries are recorded, and how many: for [`RegistryBuilder::record_queries`](crate::RegistryBuilder::record_queries)
/// and [`Scope::record_queries`](crate::Scope::record_queries). `true` stands for the defaults, and `false` for none.
///
/// ```
/// use registry_core::{RecordOptions, Registry};
///
/// let registry = Registry::builder()
///     .bind("default", "sqlite::memory:")
///     .record_queries(RecordOptions::new().limit(200).warn_repeated(5))
///     .build()?;
/// assert!(registry.queries().is_recording());
/// # Ok::<(), registry_core::SettingsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RecordOptions {
    pub(crate) is_on: bool,
    pub(crate) limit: usize,
    pub(crate) max_bytes: usize,
    pub(crate) warn_repeated: Option<u32>,
}

impl RecordOptions {
    /// Records the last 1,000 queries, in at most 1 MiB. In debug builds, it warns of a query that runs 10 times in a scope
    /// from one place.
    pub fn new() -> Self {
        Self {
            is_on: true,
            limit: 1000,
            max_bytes: 1024 * 1024,
            warn_repeated: cfg!(debug_assertions).then_some(10),
        }
    }

    /// How many queries are kept. An older one is dropped for a newer one, and counted. 1,000 by default.
    pub fn limit(mut self, queries: usize) -> Self {
        self.limit = queries;
        self
    }

    /// How many bytes the kept queries may take. 1 MiB by default. Of a statement of more than 4 KiB, the beginning is kept.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// After how many runs of one statement from one place in a scope an event warns of it: mostly each row of one
    /// query is looked up by another one, where a single query with a join or an `IN` would do ("N+1"). It is said once for
    /// each scope, statement and place. 10 by default in debug builds; `None`, the default in release builds, warns of none.
    pub fn warn_repeated(mut self, runs: impl Into<Option<u32>>) -> Self {
        self.warn_repeated = runs.into();
        self
    }
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl From<bool> for RecordOptions {
    fn from(is_on: bool) -> Self {
        Self { is_on, ..Self::new() }
    }
}
