//! Beginning a unit of work, and running one to its end.

use std::future::Future;
use std::panic::Location;

use super::run::run_with_retries;
use super::session_factory::SessionFactory;
use super::unit_of_work::UnitOfWork;
use crate::async_func::AsyncFunc;
use crate::error::Error;
use crate::registry::{Registry, Tenant};
use crate::settings::WorkOptions;

impl Registry {
    /// A unit of work with the options that were given to the builder. It opens nothing yet.
    #[track_caller]
    pub fn begin(&self) -> UnitOfWork {
        self.begin_with(self.work_options().clone())
    }

    /// A unit of work with these options. It opens nothing yet.
    ///
    /// If the options name keys that no bind has, what is first done with it is an error: [`WorkError::Keys`].
    #[track_caller]
    pub fn begin_with(&self, options: WorkOptions) -> UnitOfWork {
        UnitOfWork::new(SessionFactory::Registry(self.clone()), options, Location::caller())
    }

    /// Runs `work` with a unit of work, which is committed if that returns `Ok`, and rolled back if
    /// it returns an error or panics.
    ///
    /// What a statement of `work` has committed itself cannot be rolled back. If `work` returns an error then, that is
    /// the error, and a warning says which bind is concerned.
    ///
    /// Dropping the future rolls back, unless the commit has begun.
    ///
    /// # Errors
    ///
    /// What `work` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`].
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
        let began = Location::caller();
        let source = SessionFactory::Registry(self.clone());
        let options = self.work_options().clone();
        async move { UnitOfWork::new(source, options, began).run(work).await }
    }

    /// Runs `work` with a unit of work that has these options, as [`transaction`](Self::transaction) does, and runs
    /// it again after transient failures, as often as [`WorkOptions::retries`] says.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, WorkOptions, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let options = WorkOptions::new().serializable().retries(3);
    /// registry
    ///     .transaction_with(options, async |work| {
    ///         diesel::insert_into(events::table).values(events::id.eq(1)).execute(work).await?;
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # When it is run again
    ///
    /// If `work` returns an error, and a statement has failed in this run because of a deadlock, a serialization
    /// failure, a lock that could not be had in time, a server that takes no writes now, or a connection that was
    /// lost, or no session could be had for a reason that may pass. What counts is what the databases have said, and
    /// not the error that `work` makes of it. Likewise if the commit fails in such a way, and it is known that no bind
    /// is committed: a commit that is in doubt, or that came about in part, is never followed by another run.
    ///
    /// Everything is rolled back before, and all sessions are returned. The pause before the n-th run that follows the
    /// first one is random, between zero and 10 ms · 2ⁿ⁻¹, and 1 s at the most ("full jitter",
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>), so that those who were in each
    /// other's way do not meet again.
    ///
    /// Each run has a clone of `work`, made before the first: what a closure has captured by value is as it was. What
    /// has other effects than on the unit of work has them in each run.
    ///
    /// # Errors
    ///
    /// What the last run of `work` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`];
    /// [`WorkError::Keys`] as [`Error::Work`] if the options name keys that no bind has.
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

impl Tenant {
    /// A unit of work on the databases of this tenant. It opens nothing yet.
    #[track_caller]
    pub fn begin(&self) -> UnitOfWork {
        self.begin_with(self.registry().work_options().clone())
    }

    /// A unit of work on the databases of this tenant, with these options: see [`Registry::begin_with`].
    #[track_caller]
    pub fn begin_with(&self, options: WorkOptions) -> UnitOfWork {
        UnitOfWork::new(SessionFactory::Tenant(self.clone()), options, Location::caller())
    }

    /// Runs `work` with a unit of work on the databases of this tenant, as
    /// [`Registry::transaction`] does.
    ///
    /// # Errors
    ///
    /// What `work` returns, or the [`CommitError`](super::CommitError) as [`Error::Commit`].
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
        let began = Location::caller();
        let source = SessionFactory::Tenant(self.clone());
        let options = self.registry().work_options().clone();
        async move { UnitOfWork::new(source, options, began).run(work).await }
    }

    /// Runs `work` with a unit of work on the databases of this tenant that has these options, and runs it again
    /// after transient failures: see [`Registry::transaction_with`].
    ///
    /// # Errors
    ///
    /// As those of [`Registry::transaction_with`].
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
