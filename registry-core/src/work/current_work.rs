//! The guard by which a user holds the unit of work of a scope.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::unit_of_work::UnitOfWork;
use super::work_lock::{WorkGuard, WorkLock};

/// Exclusive access to the unit of work of a scope, until this guard is dropped: see [`UnitOfWork::current`].
///
/// The guard dereferences to the [`UnitOfWork`], so `&mut *work` is an executor. Dropping the guard neither commits nor
/// rolls back: the unit of work returns to its scope, for the next caller. If the scope has ended meanwhile, the unit of
/// work is rolled back in the background.
///
/// The guard has no `commit`, because the unit of work belongs to the scope: see [`Scope::commit`](super::Scope::commit).
///
/// ```
/// # use diesel::prelude::*;
/// # use registry_core::{BindDsl, CurrentWork, Error, Registry, RunQueryDsl, Scope, UnitOfWork, bind_tables};
/// # diesel::table! { users (id) { id -> Integer, } }
/// # bind_tables!(db = "default", backend = Sqlite; users);
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
/// registry
///     .scope(async {
///         let mut work: CurrentWork = UnitOfWork::current().await?;
///         diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut *work).await?;
///         drop(work); // before the commit, which would wait for it
///         Scope::current()?.commit().await
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct CurrentWork {
    /// `None` only while this is dropped.
    guard: Option<WorkGuard>,
    lock: Arc<WorkLock>,
}

impl CurrentWork {
    /// `guard` must be a guard of `lock` that contains a unit of work.
    pub(super) fn new(guard: WorkGuard, lock: Arc<WorkLock>) -> Self {
        Self { guard: Some(guard), lock }
    }
}

impl Deref for CurrentWork {
    type Target = UnitOfWork;

    fn deref(&self) -> &UnitOfWork {
        self.lock.record_use();
        match self.guard.as_deref() {
            Some(Some(unit)) => unit,
            _ => {
                unreachable!("the guard has a unit of work, and is only taken when this is dropped")
            }
        }
    }
}

impl DerefMut for CurrentWork {
    fn deref_mut(&mut self) -> &mut UnitOfWork {
        self.lock.record_use();
        match self.guard.as_deref_mut() {
            Some(Some(unit)) => unit,
            _ => {
                unreachable!("the guard has a unit of work, and is only taken when this is dropped")
            }
        }
    }
}

impl Drop for CurrentWork {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            self.lock.unlock(guard);
        }
    }
}

impl fmt::Debug for CurrentWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CurrentWork").field(&self.guard).finish()
    }
}
