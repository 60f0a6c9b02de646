//! Beginning a unit of work, and running one to its end.

use std::future::Future;
use std::hash::BuildHasher;
use std::panic::Location;
use std::time::Duration;

use tokio::time::sleep;

use super::{Place, Source, UnitOfWork, WorkError, WorkOptions};
use crate::async_func::AsyncFunc;
use crate::error::Error;
use crate::registry::{Registry, Tenant};

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
        UnitOfWork::new(Source::Registry(self.clone()), options, Location::caller())
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
        let source = Source::Registry(self.clone());
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
        run_again(Source::Registry(self.clone()), options, Location::caller(), work)
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
        UnitOfWork::new(Source::Tenant(self.clone()), options, Location::caller())
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
        let source = Source::Tenant(self.clone());
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
        run_again(Source::Tenant(self.clone()), options, Location::caller(), work)
    }
}

impl UnitOfWork {
    async fn run<T, E, F>(self, work: F) -> Result<T, E>
    where
        for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
            + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
            + Send,
        E: From<Error> + Send,
        T: Send,
    {
        self.run_once(work).await.map_err(|(error, _)| error)
    }

    /// Rolls back after an error of the caller's own, which is what matters. Whether it is rolled back.
    async fn roll_back_after(self) -> bool {
        match self.rollback().await {
            Err(WorkError::Ended { key }) => {
                tracing::warn!(
                    target: "registry",
                    key = &*key,
                    "not rolled back: the program has ended the transaction itself, and what was done before may \
                     be committed"
                );
                false
            }
            // What cannot be told is closed, and its server rolls back when it notices.
            Ok(()) | Err(WorkError::NotTold { .. }) => true,
            Err(_) => false,
        }
    }

    /// Runs `work` once. Beside the error, whether another run may succeed.
    async fn run_once<T, E, F>(mut self, work: F) -> Result<T, (E, bool)>
    where
        for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
            + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
            + Send,
        E: From<Error> + Send,
        T: Send,
    {
        match work(&mut self).await {
            Ok(value) => match self.commit().await {
                Ok(_) => Ok(value),
                Err(error) => {
                    let is_transient = error.is_transient();
                    Err((E::from(error.into()), is_transient))
                }
            },
            Err(error) => {
                let has_failed_in_passing = self.has_failed_in_passing().await;
                let is_undone = self.roll_back_after().await;
                Err((error, has_failed_in_passing && is_undone))
            }
        }
    }
}

/// The longest pause before the first run that follows another, and before any.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

async fn run_again<T, E, F>(
    source: Source,
    options: WorkOptions,
    began: Place,
    work: F,
) -> Result<T, E>
where
    for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
        + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
        + Clone
        + Send,
    E: From<Error> + Send,
    T: Send,
{
    let known = options.check_keys(source.registry().bind_keys());
    known.map_err(|wrong_keys| E::from(WorkError::Keys(wrong_keys).into()))?;
    let mut pause = FIRST_PAUSE;
    for _ in 0..options.retry_limit() {
        let unit = UnitOfWork::new(source.clone(), options.clone(), began);
        match unit.run_once(work.clone()).await {
            Err((_, true)) => {}
            outcome => return outcome.map_err(|(error, _)| error),
        }
        sleep(pause.mul_f64(random_share())).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    UnitOfWork::new(source, options, began).run(work).await
}

/// From zero to one.
fn random_share() -> f64 {
    let random = std::hash::RandomState::new().hash_one(0_u8);
    random as f64 / u64::MAX as f64
}
