//! Beginning a unit of work: the methods of a registry.

use std::future::Future;
use std::panic::Location;

use super::run::run_with_retries;
use super::session_factory::SessionFactory;
use super::unit_of_work::UnitOfWork;
use crate::async_func::AsyncFunc;
use crate::error::Error;
use crate::registry::Registry;
use crate::settings::WorkOptions;

impl Registry {
    /// A unit of work with the options that were given to the [builder](crate::RegistryBuilder::work).
    ///
    /// It waits for nothing: a session is acquired when a bind is first asked for. Unlike [`transaction`](Self::transaction),
    /// it is ended by hand: by [`UnitOfWork::commit`] or [`UnitOfWork::rollback`]. Dropping it rolls back.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// let mut work = registry.begin();
    /// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut work).await?;
    /// work.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn begin(&self) -> UnitOfWork {
        self.begin_with(self.work_options().clone())
    }

    /// A unit of work with these options, otherwise as [`begin`](Self::begin).
    ///
    /// If the options name keys that no bind has, the first use of the unit of work is an error:
    /// [`WorkError::Keys`](super::WorkError::Keys).
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, WorkOptions, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// let mut work = registry.begin_with(WorkOptions::new().read_only(true));
    /// let insert = diesel::insert_into(users::table).values(users::id.eq(1));
    /// assert!(insert.execute(&mut work).await.is_err());
    /// work.rollback().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn begin_with(&self, options: WorkOptions) -> UnitOfWork {
        UnitOfWork::new(SessionFactory::Registry(self.clone()), options, Location::caller())
    }

    /// Runs `work` with a unit of work, which is committed if `work` returns `Ok`, and rolled back if `work` returns an
    /// error or panics. Returns what `work` returns.
    ///
    /// It waits for `work`, and for the databases as [`UnitOfWork::commit`] and [`UnitOfWork::rollback`] do. Dropping the
    /// future rolls back in the background, unless the commit has begun.
    ///
    /// What a statement of `work` has committed itself cannot be rolled back. If `work` returns an error then, that is
    /// the error that is returned, and a warning in the log names the bind.
    ///
    /// # Errors
    ///
    /// What `work` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`].
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// registry
    ///     .transaction(async |work| {
    ///         diesel::insert_into(users::table).values(users::id.eq(1)).execute(work).await?;
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// assert_eq!(users::table.count().get_result::<i64>(&registry).await?, 1);
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
        let sessions = SessionFactory::Registry(self.clone());
        let options = self.work_options().clone();
        async move { UnitOfWork::new(sessions, options, begun_at).run(work).await }
    }

    /// Runs `work` with a unit of work that has these options, as [`transaction`](Self::transaction) does, and runs it
    /// again after transient failures, as often as [`WorkOptions::retries`] says. Returns what the last run returns.
    ///
    /// # When it is run again
    ///
    /// If `work` returns an error, and a statement has failed in this run because of a deadlock, a serialization
    /// failure, a lock that could not be had in time, a server that takes no writes now, or a connection that was
    /// lost, or because no session could be acquired for a transient reason. What counts is what the databases have
    /// answered, and not the error that `work` makes of it. Likewise if the commit fails in such a way and it is known
    /// that no bind is committed: a commit that is in doubt, or that came about in part, is never followed by another
    /// run.
    ///
    /// Before another run, everything is rolled back and all sessions are returned. The pause before the n-th retry is
    /// random, between zero and 10 ms · 2ⁿ⁻¹, and 1 s at the most ("full jitter",
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>), so that callers that were in each
    /// other's way do not meet again.
    ///
    /// Each run has a clone of `work` that was made before the first run, so what a closure has captured by value is
    /// unchanged. What `work` does outside of the unit of work is done again in each run.
    ///
    /// # Errors
    ///
    /// What the last run of `work` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`];
    /// [`WorkError::Keys`](super::WorkError::Keys) as [`Error::Work`] if the options name keys that no bind has.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, WorkOptions, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// let options = WorkOptions::new().serializable().retries(3);
    /// registry
    ///     .transaction_with(options, async |work| {
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
        run_with_retries(SessionFactory::Registry(self.clone()), options, Location::caller(), work)
    }
}
