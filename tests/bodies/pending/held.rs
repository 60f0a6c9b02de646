//! A migration that a test holds while it runs.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::backend::Backend;
use diesel::connection::BoxableConnection;
use diesel::migration::{Migration, MigrationMetadata, MigrationName, MigrationSource, Result};
use tokio::sync::Notify;

use super::CREATE;

/// A migration that creates the table, and that the test holds while it runs.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<HeldState>);

#[derive(Default)]
struct HeldState {
    /// How often the migrations were listed, which each check does.
    listed: AtomicU32,
    runs: AtomicU32,
    begun: Notify,
    /// While it is locked, the migration does not go on.
    gate: Mutex<()>,
    fails: AtomicBool,
}

impl Held {
    pub(super) fn runs(&self) -> u32 {
        self.0.runs.load(Ordering::SeqCst)
    }

    pub(super) fn listed(&self) -> u32 {
        self.0.listed.load(Ordering::SeqCst)
    }

    pub(super) async fn has_begun(&self) {
        self.0.begun.notified().await;
    }

    /// Holds the migration until the guard is dropped.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.0.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fail(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }
}

/// Migrations that the test holds when a check has read the table of versions, and has not answered yet: a check drops
/// its list of migrations at its end.
#[derive(Clone, Default)]
pub(super) struct HeldAfterRead(pub(super) Held);

impl<DB: Backend> MigrationSource<DB> for HeldAfterRead {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<DB>>>> {
        self.0.0.listed.fetch_add(1, Ordering::SeqCst);
        Ok(vec![Box::new(HoldsOnDrop(self.0.clone()))])
    }
}

struct HoldsOnDrop(Held);

impl Drop for HoldsOnDrop {
    fn drop(&mut self) {
        self.0.0.begun.notify_one();
        drop(self.0.hold());
    }
}

impl<DB: Backend> Migration<DB> for HoldsOnDrop {
    fn run(&self, connection: &mut dyn BoxableConnection<DB>) -> Result<()> {
        Migration::<DB>::run(&CREATE, connection)
    }

    fn revert(&self, _: &mut dyn BoxableConnection<DB>) -> Result<()> {
        Ok(())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        Migration::<DB>::metadata(&CREATE)
    }

    fn name(&self) -> &dyn MigrationName {
        Migration::<DB>::name(&CREATE)
    }
}

impl<DB: Backend> MigrationSource<DB> for Held {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<DB>>>> {
        self.0.listed.fetch_add(1, Ordering::SeqCst);
        Ok(vec![Box::new(self.clone())])
    }
}

impl<DB: Backend> Migration<DB> for Held {
    fn run(&self, connection: &mut dyn BoxableConnection<DB>) -> Result<()> {
        self.0.runs.fetch_add(1, Ordering::SeqCst);
        self.0.begun.notify_one();
        drop(self.0.gate.lock().unwrap_or_else(PoisonError::into_inner));
        if self.0.fails.load(Ordering::SeqCst) {
            return Err("the migration fails".into());
        }
        Migration::<DB>::run(&CREATE, connection)
    }

    fn revert(&self, _: &mut dyn BoxableConnection<DB>) -> Result<()> {
        Ok(())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        Migration::<DB>::metadata(&CREATE)
    }

    fn name(&self) -> &dyn MigrationName {
        Migration::<DB>::name(&CREATE)
    }
}
