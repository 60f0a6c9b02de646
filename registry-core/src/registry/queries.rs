//! The recorded queries of a registry.

use super::handle::Registry;
use crate::telemetry::RecordedQueries;

impl Registry {
    /// The last queries of all tasks, and the slowest ones, if the registry
    /// [records](crate::RegistryBuilder::record_queries) them. `BEGIN`, `COMMIT`, `ROLLBACK` and savepoints are not recorded.
    ///
    /// ```
    /// # use registry_core::Registry;
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").record_queries(true).build()?;
    /// assert_eq!(registry.queries().total(), 0);
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn queries(&self) -> RecordedQueries {
        self.0.telemetry.queries()
    }
}
