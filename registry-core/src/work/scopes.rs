//! Scopes by a key of the program.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};

use super::scope::Scope;
use crate::registry::Registry;

impl Registry {
    /// Scopes that belong to a key of the program instead of a task: see [`Scopes`]. Each use of the scopes calls `key`.
    ///
    /// ```
    /// # use registry_core::{Error, Registry};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let scopes = registry.scopes_by(|| std::thread::current().id());
    /// let scope = scopes.current(); // one for each thread
    /// scope.commit().await?;
    /// scopes.remove().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scopes_by<K: Eq + Hash>(
        &self,
        key: impl Fn() -> K + Send + Sync + 'static,
    ) -> Scopes<K> {
        Scopes { registry: self.clone(), key: Box::new(key), open: Mutex::default() }
    }
}

/// One scope for each key of the program, such as the id of a job or of a connection: see [`Registry::scopes_by`]. The
/// same feature is `scopefunc` of SQLAlchemy's `scoped_session`.
///
/// The first use of a key makes its scope, and [`remove`](Self::remove) ends it: a key that is never removed keeps its
/// unit of work, and its connections, for the lifetime of this value. Dropping this value rolls back open units of work
/// in the background.
///
/// ```
/// # use diesel::prelude::*;
/// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
/// # use std::sync::{Arc, Mutex};
/// # diesel::table! { users (id) { id -> Integer, } }
/// # bind_tables!(db = "default", backend = Sqlite; users);
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
/// let job = Arc::new(Mutex::new("job 1"));
/// let current_job = Arc::clone(&job);
/// let scopes = registry.scopes_by(move || *current_job.lock().expect("not poisoned"));
///
/// let mut work = scopes.current().work().await?;
/// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut *work).await?;
/// drop(work);
/// scopes.current().commit().await?;
/// scopes.remove().await;
/// # assert_eq!(users::table.count().get_result::<i64>(&registry).await?, 1);
/// # Ok(())
/// # }
/// ```
pub struct Scopes<K> {
    registry: Registry,
    key: Box<dyn Fn() -> K + Send + Sync>,
    open: Mutex<HashMap<K, Scope>>,
}

impl<K: Eq + Hash> Scopes<K> {
    /// The scope of the current key. The first use of a key makes its scope.
    #[must_use]
    #[track_caller]
    pub fn current(&self) -> Scope {
        let key = (self.key)();
        let made_at = Location::caller();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || self.registry.new_scope_at(None, made_at);
        open.entry(key).or_insert_with(new).clone()
    }

    /// Ends the scope of the current key, as [`Scope::end`] does, and removes it. The next use of the key makes a new
    /// scope. Does nothing if the key has no scope.
    ///
    /// If the future is dropped, the rollback continues in the background.
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
