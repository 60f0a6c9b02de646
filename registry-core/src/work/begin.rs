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
    /// A unit of work with the options of the [builder](crate::RegistryBuilder::work).
    ///
    /// This call does no I/O: the first use of a bind acquires a session. Unlike with [`transaction`](Self::transaction),
    /// the program ends the unit of work itself, by [`UnitOfWork::commit`] or [`UnitOfWork::rollback`]. Dropping the unit
    /// of work rolls it back.
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
    /// If the options name keys without a bind, the first use of the unit of work fails with
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

    /// Runs `work` with a unit of work. Commits it if `work` returns `Ok`, and rolls it back if `work` returns an error or
    /// panics. Returns the output of `work`.
    ///
    /// The future waits for `work`, and for the databases as [`UnitOfWork::commit`] and [`UnitOfWork::rollback`] do.
    /// Dropping the future rolls back in the background, unless the commit has begun.
    ///
    /// If a statement of `work` has committed by itself, these changes cannot be rolled back. If `work` then returns an
    /// error, this method returns the error of `work`, and a warning in the log names the bind.
    ///
    /// # Errors
    ///
    /// The error of `work`, or the [`CommitError`](super::CommitError) as [`Error::Commit`].
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
    /// again after transient failures, up to [`WorkOptions::retries`] times. Returns the output of the last run.
    ///
    /// # When it is run again
    ///
    /// `work` runs again if it returns an error, and the run had a transient failure: a statement has failed because of a
    /// deadlock, a serialization failure, a lock time-out, a server that accepts no writes at the moment, or a lost
    /// connection; or no session could be acquired for a transient reason. The answers of the databases decide, and not
    /// the error that `work` returns. `work` also runs again if the commit fails for such a reason and it is certain
    /// that no bind is committed. A commit that is in doubt, or that has committed some binds, is never followed by another
    /// run.
    ///
    /// Before another run, everything is rolled back and all sessions are returned. The pause before the n-th retry is
    /// random, between zero and 10 ms · 2ⁿ⁻¹, and 1 s at the most ("full jitter",
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>), so that
    /// conflicting callers do not retry at the same time.
    ///
    /// Each run calls a clone of `work` that was made before the first run, so values that a closure has captured by value
    /// are unchanged. Effects of `work` outside of the unit of work happen again in each run.
    ///
    /// # Errors
    ///
    /// The error of the last run of `work`, or the [`CommitError`](super::CommitError) as [`Error::Commit`];
    /// [`WorkError::Keys`](super::WorkError::Keys) as [`Error::Work`] if the options name keys without a bind.
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
