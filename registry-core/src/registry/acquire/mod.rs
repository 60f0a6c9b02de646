//! Acquiring a session.
//!
//! This file has the public methods, and `future` has [`Acquire`], the future that they return. `recipe` has the steps
//! from a route to a session, for when no session can be lent at once.

use super::handle::Registry;
use super::open::identity_for_settings;
use super::route::Route;
use super::tenants::Tenant;
use crate::backend::Backend;
use crate::bind::{Bind, Bound, ByKey};
use crate::settings::{BindKey, BindSettings};

mod future;
mod recipe;

pub use future::Acquire;

impl Registry {
    /// Acquires a session of the database that the model, table or query type `M` is bound to.
    ///
    /// It waits for a free connection, for `acquire_timeout` at most (30 s by default). Dropping the future gives up
    /// the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`](crate::AcquireError), see [`Acquire`].
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use registry_core::{Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let mut session = registry.session_for::<events::table>().await?;
    /// # diesel::sql_query("CREATE TABLE events (id INTEGER PRIMARY KEY)").execute(&mut session).await?;
    /// let count: i64 = events::table.count().get_result(&mut session).await?;
    /// assert_eq!(count, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_for<M: Bound>(&self) -> Acquire<'_, M::Bind> {
        self.session::<M::Bind>()
    }

    /// Acquires a session of the bind `B`, a type that [`binds!`](crate::binds) has declared.
    ///
    /// It waits for a free connection, for `acquire_timeout` at most (30 s by default). Dropping the future gives up
    /// the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`](crate::AcquireError), see [`Acquire`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::{Registry, binds};
    ///
    /// binds! { pub Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.session::<Analytics>().within(Duration::from_secs(2)).await?;
    /// assert_eq!(session.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session<B: Bind>(&self) -> Acquire<'_, B> {
        Acquire::new(self, Route::Bind)
    }

    /// Acquires a session of the bind with this `key`, which can be known only at run time. `C` is the connection type
    /// that the program expects for the bind's URL.
    ///
    /// The compiler cannot check which models are used on such a session, so prefer [`session`](Self::session) or
    /// [`session_for`](Self::session_for) where the bind is known. It waits for a free connection, for
    /// `acquire_timeout` at most (30 s by default). Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`](crate::AcquireError), see [`Acquire`].
    ///
    /// ```
    /// use registry_core::{Registry, Sqlite};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// for key in registry.keys() {
    ///     let session = registry.session_by_key::<Sqlite>(key).await?;
    ///     assert_eq!(session.key(), key);
    /// }
    ///
    /// let error = registry.session_by_key::<Sqlite>("analytic").await.unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the settings have no bind `analytic`; they have `analytics`; did you mean `analytics`?"
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_by_key<C: Backend>(&self, key: &str) -> Acquire<'_, ByKey<C>> {
        match BindKey::new(key) {
            Ok(key) => Acquire::new(self, Route::Key(key)),
            Err(_) => Acquire::failed(self, self.unknown_bind(key).into()),
        }
    }

    /// Acquires a session for the model, table or query type `M` in another database than that of its bind. The
    /// database has the same backend, and is at `settings`, which is a URL or a [`BindSettings`] with options.
    ///
    /// The engine is opened on demand. There is one for each distinct URL (with user and password) and options, however
    /// many callers ask at once. Options that `settings` leave out are inherited from the bind. A URL in a string is
    /// parsed in each call. To avoid that, keep a [`DatabaseUrl`](crate::DatabaseUrl).
    ///
    /// At most `max_engines` (64 by default) are open on demand. To open one more, the least recently used engine
    /// without lent sessions is evicted. If all engines have lent sessions, the caller waits until an engine becomes
    /// unused, first come, first served. An engine that could not connect is not kept. A SQLite database in memory
    /// lives as long as its engine, so it is lost when the engine is evicted, or closed after `engine_idle_timeout`.
    ///
    /// It waits for an engine and a free connection, for `acquire_timeout` at most (30 s by default). Dropping the
    /// future gives up the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`](crate::AcquireError), see [`Acquire`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::{BindSettings, Registry, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let url = "sqlite::memory:";
    /// let session = registry.session_by_url::<events::table>(url).await?;
    /// # drop(session);
    ///
    /// let with_options = BindSettings::new(url).acquire_timeout(Duration::from_secs(2));
    /// let session = registry.session_by_url::<events::table>(with_options).await?;
    /// assert_eq!(registry.status().on_demand.engines.len(), 2);
    /// # drop(session);
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_by_url<M: Bound>(
        &self,
        settings: impl Into<BindSettings>,
    ) -> Acquire<'_, M::Bind> {
        let settings = settings.into();
        if let Some(url) = settings.as_url() {
            return Acquire::new(self, Route::Url(url.clone()));
        }
        match identity_for_settings::<M::Bind>(self, settings) {
            Ok(identity) => Acquire::new(self, Route::Settings(Box::new(identity))),
            Err(error) => Acquire::failed(self, error),
        }
    }
}

impl Tenant {
    /// Acquires a session of the tenant's database for the model, table or query type `M`.
    ///
    /// It waits for an engine and a free connection, for `acquire_timeout` at most (30 s by default). Dropping the
    /// future gives up the place in the queue. [`Tenant`] has an example.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`](crate::AcquireError), see [`Acquire`]:
    /// [`UnknownTenant`](crate::AcquireError::UnknownTenant) if the tenant has no database.
    ///
    /// ```
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # std::fs::write(folder.path().join("acme.db"), "").unwrap();
    /// # let url = format!("sqlite://{}/{{tenant}}.db", folder.path().display());
    /// let registry = Registry::builder().bind("analytics", url).build()?; // ../{tenant}.db
    /// let session = registry.tenant("acme")?.session_for::<Analytics>().await?;
    /// assert_eq!(session.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_for<M: Bound>(&self) -> Acquire<'_, M::Bind> {
        self.session::<M::Bind>()
    }

    /// Acquires a session of the tenant's database for the bind `B`. It waits like [`session_for`](Self::session_for).
    ///
    /// ```
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # std::fs::write(folder.path().join("acme.db"), "").unwrap();
    /// # let url = format!("sqlite://{}/{{tenant}}.db", folder.path().display());
    /// let registry = Registry::builder().bind("analytics", url).build()?; // ../{tenant}.db
    /// let session = registry.tenant("acme")?.session::<Analytics>().await?;
    /// assert_eq!(session.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session<B: Bind>(&self) -> Acquire<'_, B> {
        Acquire::new(self.registry(), Route::Tenant(self))
    }
}
