//! Migrations that run out of file descriptors: unused engines are closed to free some.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::backend::migrate::ReclaimFiles;
use crate::backend::resource_exhaustion::{can_read_files, lacks_files};
use crate::cause::DriverError;
use crate::registry::handle::Registry;

/// Frees file descriptors of this process for as long as a run of migrations has time, by closing unused engines. It
/// blocks, like all code that runs migrations.
pub(super) struct FileDescriptors {
    registry: Registry,
    started: Instant,
    limit: Duration,
    /// Whether the migrations are read from files.
    are_in_files: bool,
}

impl FileDescriptors {
    pub(super) fn new(registry: Registry, limit: Duration, are_in_files: bool) -> Self {
        Self { registry, started: Instant::now(), limit, are_in_files }
    }

    /// Returns whether another try can succeed: false if no engine could be closed, or the time is over.
    fn free_some(&self) -> bool {
        Handle::current().block_on(self.registry.free_resources(self.started, self.limit))
    }

    /// Runs `read`, which opens files before it does anything else. If there are too few file descriptors, frees some
    /// and runs it again.
    pub(super) fn with_files<T>(
        &self,
        mut read: impl FnMut() -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        loop {
            self.reclaim();
            match read() {
                Err(error) if self.has_reclaimed_for(&error) => {}
                outcome => return outcome,
            }
        }
    }
}

impl ReclaimFiles for FileDescriptors {
    fn reclaim(&self) {
        // Checked before, because there would be no error: Diesel treats a `metadata.toml` that cannot be opened as
        // missing.
        while self.are_in_files && !can_read_files() && self.free_some() {}
    }

    fn has_reclaimed_for(&self, error: &DriverError) -> bool {
        lacks_files(error) && self.free_some()
    }
}
