//! Opening a scope: the methods of a registry.

use std::future::Future;
use std::panic::Location;

use super::scope::Scope;
use super::session_factory::SessionFactory;
use super::unit_of_work::CallSite;
use crate::error::Error;
use crate::registry::Registry;
use crate::settings::WorkOptions;

impl Registry {
    /// Runs `future` in a new scope, and rolls back a unit of work that `future` leaves open. Returns the output of
    /// `future`.
    ///
    /// In the scope, [`UnitOfWork::current`](super::UnitOfWork::current) returns the same unit of work in all code that
    /// `future` calls, and [`Scope::commit`] commits it. At the end the returned future waits for the rollback, as
    /// [`UnitOfWork::rollback`](super::UnitOfWork::rollback) does. Dropping the returned future ends the scope, and rolls
    /// back in the background.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, Scope, UnitOfWork, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # async fn note(id: i32) -> Result<(), Error> {
    /// #     let mut work = UnitOfWork::current().await?;
    /// #     diesel::insert_into(users::table).values(users::id.eq(id)).execute(&mut *work).await?;
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// registry
    ///     .scope(async {
    ///         note(1).await?; // calls `UnitOfWork::current()`
    ///         Scope::current()?.commit().await?;
    ///         note(2).await // rolled back at the end
    ///     })
    ///     .await?;
    /// assert_eq!(users::table.select(users::id).load::<i32>(&registry).await?, [1]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        self.new_scope().run(future)
    }

    /// Runs `future` in a scope whose units of work have these options, otherwise as [`scope`](Self::scope).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, UnitOfWork, WorkOptions, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # async fn note(id: i32) -> Result<(), Error> {
    /// #     let mut work = UnitOfWork::current().await?;
    /// #     diesel::insert_into(users::table).values(users::id.eq(id)).execute(&mut *work).await?;
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// let options = WorkOptions::new().read_only(true);
    /// let outcome = registry.scope_with(options, note(1)).await; // calls `UnitOfWork::current()`
    /// assert!(outcome.is_err());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn scope_with<F: Future>(
        &self,
        options: WorkOptions,
        future: F,
    ) -> impl Future<Output = F::Output> {
        self.new_scope_with(options).run(future)
    }

    /// Runs `future` in a new scope. A unit of work that `future` leaves open is committed if `future` returns `Ok`, and
    /// rolled back if `future` returns an error. Returns the output of `future`.
    ///
    /// At the end the returned future waits for the databases, as [`UnitOfWork::commit`](super::UnitOfWork::commit) and
    /// [`UnitOfWork::rollback`](super::UnitOfWork::rollback) do. Dropping the returned future ends the scope, and rolls
    /// back in the background, unless the commit has begun.
    ///
    /// # Errors
    ///
    /// The error of `future`, or the [`CommitError`](super::CommitError) as [`Error::Commit`];
    /// [`WorkError::InUse`](super::WorkError::InUse) as [`Error::Work`] if the output of `future`, or a task that `future`
    /// has started, still holds the unit of work.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, UnitOfWork, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # async fn note(id: i32) -> Result<(), Error> {
    /// #     let mut work = UnitOfWork::current().await?;
    /// #     diesel::insert_into(users::table).values(users::id.eq(id)).execute(&mut *work).await?;
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// registry
    ///     .try_scope(async {
    ///         note(1).await?; // calls `UnitOfWork::current()`
    ///         note(2).await
    ///     })
    ///     .await?;
    /// assert_eq!(users::table.count().get_result::<i64>(&registry).await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_scope<T, E: From<Error>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope().try_run(future)
    }

    /// Runs `future` in a scope whose units of work have these options, otherwise as [`try_scope`](Self::try_scope).
    ///
    /// # Errors
    ///
    /// The errors of [`try_scope`](Self::try_scope).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, UnitOfWork, WorkOptions, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # async fn note(id: i32) -> Result<(), Error> {
    /// #     let mut work = UnitOfWork::current().await?;
    /// #     diesel::insert_into(users::table).values(users::id.eq(id)).execute(&mut *work).await?;
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// registry.try_scope_with(WorkOptions::new().serializable(), note(1)).await?;
    /// assert_eq!(users::table.count().get_result::<i64>(&registry).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_scope_with<T, E: From<Error>>(
        &self,
        options: WorkOptions,
        future: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.new_scope_with(options).try_run(future)
    }

    /// A scope that is not entered yet: for code that [enters](Scope::enter) and [ends](Scope::end) the scope itself.
    ///
    /// The drop of the last handle to the scope rolls back an open unit of work in the background.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, UnitOfWork, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # async fn note(id: i32) -> Result<(), Error> {
    /// #     let mut work = UnitOfWork::current().await?;
    /// #     diesel::insert_into(users::table).values(users::id.eq(id)).execute(&mut *work).await?;
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// let scope = registry.new_scope();
    /// scope.enter(note(1)).await?; // calls `UnitOfWork::current()`
    /// scope.enter(note(2)).await?; // has the same unit of work
    /// scope.commit().await?;
    /// scope.end().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn new_scope(&self) -> Scope {
        self.new_scope_at(None, Location::caller())
    }

    /// A scope whose units of work have these options, otherwise as [`new_scope`](Self::new_scope).
    ///
    /// If the options name keys without a bind, the first use of a unit of work fails with
    /// [`WorkError::Keys`](super::WorkError::Keys).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, UnitOfWork, WorkOptions, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # async fn note(id: i32) -> Result<(), Error> {
    /// #     let mut work = UnitOfWork::current().await?;
    /// #     diesel::insert_into(users::table).values(users::id.eq(id)).execute(&mut *work).await?;
    /// #     Ok(())
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// let scope = registry.new_scope_with(WorkOptions::new().read_only(true));
    /// assert!(scope.enter(note(1)).await.is_err()); // calls `UnitOfWork::current()`
    /// scope.end().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn new_scope_with(&self, options: WorkOptions) -> Scope {
        self.new_scope_at(Some(options), Location::caller())
    }

    /// A scope with `options`, or else with the options of the registry. `made_at` is the call site that makes it.
    pub(crate) fn new_scope_at(&self, options: Option<WorkOptions>, made_at: CallSite) -> Scope {
        let options = options.unwrap_or_else(|| self.work_options().clone());
        Scope::new(SessionFactory::Registry(self.clone()), options, made_at)
    }
}
