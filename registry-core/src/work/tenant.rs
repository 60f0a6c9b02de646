//! Units of work and scopes on the databases of a tenant: the same methods as for a registry, with another
//! [`SessionFactory`].

use std::future::Future;
use std::panic::Location;

use super::run::run_with_retries;
use super::scope::Scope;
use super::session_factory::SessionFactory;
use super::unit_of_work::{CallSite, UnitOfWork};
use crate::async_func::AsyncFunc;
use crate::error::Error;
use crate::registry::Tenant;
use crate::settings::WorkOptions;

impl Tenant {
    /// A unit of work on the databases of this tenant, otherwise as [`Registry::begin`](crate::Registry::begin). Binds that are not divided by
    /// tenants are the same as for the registry.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// let mut work = tenant.begin();
    /// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut work).await?;
    /// work.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn begin(&self) -> UnitOfWork {
        self.begin_with(self.registry().work_options().clone())
    }

    /// A unit of work on the databases of this tenant, with these options: see [`Registry::begin_with`](crate::Registry::begin_with).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, WorkOptions, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// let mut work = tenant.begin_with(WorkOptions::new().read_only(true));
    /// assert_eq!(users::table.count().get_result::<i64>(&mut work).await?, 0);
    /// work.rollback().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn begin_with(&self, options: WorkOptions) -> UnitOfWork {
        UnitOfWork::new(SessionFactory::Tenant(self.clone()), options, Location::caller())
    }

    /// Runs `work` with a unit of work on the databases of this tenant, and commits it, as [`Registry::transaction`](crate::Registry::transaction)
    /// does.
    ///
    /// # Errors
    ///
    /// The errors of [`Registry::transaction`](crate::Registry::transaction).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// tenant
    ///     .transaction(async |work| {
    ///         diesel::insert_into(users::table).values(users::id.eq(1)).execute(work).await?;
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn transaction<'a, T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
            + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        T: Send + 'a,
    {
        let begun_at = Location::caller();
        let sessions = SessionFactory::Tenant(self.clone());
        let options = self.registry().work_options().clone();
        async move { UnitOfWork::new(sessions, options, begun_at).run(work).await }
    }

    /// Runs `work` with a unit of work on the databases of this tenant that has these options, and runs it again
    /// after transient failures: see [`Registry::transaction_with`](crate::Registry::transaction_with).
    ///
    /// # Errors
    ///
    /// The errors of [`Registry::transaction_with`](crate::Registry::transaction_with).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, WorkOptions, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// tenant
    ///     .transaction_with(WorkOptions::new().retries(3), async |work| {
    ///         diesel::insert_into(users::table).values(users::id.eq(1)).execute(work).await?;
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn transaction_with<'a, T, E, F>(
        &self,
        options: WorkOptions,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send
    where
        for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
            + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
            + Clone
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        T: Send + 'a,
    {
        run_with_retries(SessionFactory::Tenant(self.clone()), options, Location::caller(), work)
    }
}

impl Tenant {
    /// Runs `future` in a scope whose unit of work is on the databases of this tenant: see [`Registry::scope`](crate::Registry::scope).
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
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// tenant
    ///     .scope(async {
    ///         note(1).await?; // calls `UnitOfWork::current()`
    ///         Scope::current()?.commit().await
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        self.new_scope().run(future)
    }

    /// Runs `future` in a scope on the databases of this tenant whose units of work have these options: see
    /// [`Registry::scope_with`](crate::Registry::scope_with).
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
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// let options = WorkOptions::new().read_only(true);
    /// assert!(tenant.scope_with(options, note(1)).await.is_err()); // calls `UnitOfWork::current()`
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

    /// Runs `future` in a scope whose unit of work is on the databases of this tenant, and commits if it returns `Ok`:
    /// see [`Registry::try_scope`](crate::Registry::try_scope).
    ///
    /// # Errors
    ///
    /// The errors of [`Registry::try_scope`](crate::Registry::try_scope).
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
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// tenant.try_scope(note(1)).await?; // calls `UnitOfWork::current()`
    /// assert_eq!(users::table.count().get_result::<i64>(&tenant).await?, 1);
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

    /// Runs `future` in a scope on the databases of this tenant whose units of work have these options: see
    /// [`Registry::try_scope_with`](crate::Registry::try_scope_with).
    ///
    /// # Errors
    ///
    /// The errors of [`Registry::try_scope`](crate::Registry::try_scope).
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
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// tenant.try_scope_with(WorkOptions::new().serializable(), note(1)).await?;
    /// assert_eq!(users::table.count().get_result::<i64>(&tenant).await?, 1);
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

    /// A scope on the databases of this tenant that is not entered yet: see [`Registry::new_scope`](crate::Registry::new_scope).
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
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// let scope = tenant.new_scope();
    /// scope.enter(note(1)).await?; // calls `UnitOfWork::current()`
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

    /// A scope on the databases of this tenant whose units of work have these options: see
    /// [`Registry::new_scope_with`](crate::Registry::new_scope_with).
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
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # diesel::SqliteConnection::establish(&format!("{path}/acme.db"))?;
    /// # let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let tenant = registry.tenant("acme")?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&tenant).await?;
    /// let scope = tenant.new_scope_with(WorkOptions::new().read_only(true));
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
        let options = options.unwrap_or_else(|| self.registry().work_options().clone());
        Scope::new(SessionFactory::Tenant(self.clone()), options, made_at)
    }
}
