//! Savepoints over all databases of a unit of work.
//!
//! A savepoint of a unit of work is one savepoint on each participant. The participants set and end their savepoints one
//! after another. If a step fails or is interrupted, some participants have one savepoint more than others, and only a
//! rollback makes them consistent again. So the unit of work is poisoned before the first participant is asked
//! ([`PoisonGuard`]), and it is usable again only after the last participant has answered.

use super::error::WorkError;
use super::participant::Verification;
use super::participants::verify_open;
use super::unit_of_work::{UnitOfWork, WorkState};
use crate::async_func::AsyncFunc;
use crate::error::Error;

impl UnitOfWork {
    /// Runs `work` between savepoints of all databases. The changes of `work` are kept if it returns `Ok`, and undone if it
    /// returns an error, also in databases that `work` was the first to touch.
    ///
    /// Savepoints nest. The round trips to the databases have no time limit of their own, like those of a statement. If
    /// `work` panics, or the future is dropped before its end, the unit of work can only be rolled back.
    ///
    /// # Errors
    ///
    /// The error of `work`, or [`WorkError`] as [`Error::Work`] if a savepoint cannot be set, released or rolled back to. If
    /// both fail, the error of `work` is returned.
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
    /// let outcome = work
    ///     .savepoint(async |work| {
    ///         diesel::insert_into(users::table).values(users::id.eq(2)).execute(&mut *work).await?;
    ///         diesel::insert_into(users::table).values(users::id.eq(1)).execute(work).await?; // a duplicate
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await;
    /// assert!(outcome.is_err());
    /// work.commit().await?;
    /// assert_eq!(users::table.select(users::id).load::<i32>(&registry).await?, [1]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn savepoint<'a, T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        for<'w> F: AsyncFnOnce(&'w mut UnitOfWork) -> Result<T, E>
            + AsyncFunc<&'w mut UnitOfWork, Result<T, E>, Fut: Send>
            + Send
            + 'a,
        E: From<Error> + Send + 'a,
        T: Send + 'a,
    {
        self.set_savepoints().await.map_err(|error| E::from(error.into()))?;
        // The closure has the unit of work, which so cannot end before the closure.
        let writer = self.writer;
        let outcome = writer.run(work(self)).await;
        match self.end_savepoints(outcome.is_ok()).await {
            Ok(()) => outcome,
            // The error of `work` takes precedence.
            Err(error) => outcome.and(Err(E::from(error.into()))),
        }
    }

    async fn set_savepoints(&mut self) -> Result<(), WorkError> {
        let guard = PoisonGuard::arm(self)?;
        for participant in guard.work.participants.iter_mut() {
            let key = participant.key();
            // Setting the savepoint also renews the mark of the transaction. In another transaction the mark would hide the
            // end of this one, so the answer has to be certain.
            verify_open(&mut **participant, Verification::Certain).await?;
            let set = participant.set_savepoint().await;
            set.map_err(|source| WorkError::Savepoint { key, source })?;
        }
        let savepoints = guard.savepoints + 1;
        guard.disarm(savepoints);
        Ok(())
    }

    /// Releases the innermost savepoints, or rolls back to them.
    async fn end_savepoints(&mut self, is_kept: bool) -> Result<(), WorkError> {
        let guard = PoisonGuard::arm(self)?;
        for participant in guard.work.participants.iter_mut() {
            let key = participant.key();
            if !is_kept {
                // Before the rollback, because the server discards the details of the failure in the rollback.
                participant.diagnose().await;
            }
            verify_open(&mut **participant, Verification::Certain).await?;
            let ended = match is_kept {
                true => participant.release_savepoint().await,
                false => participant.roll_back_to_savepoint().await,
            };
            ended.map_err(|source| WorkError::Savepoint { key, source })?;
        }
        let savepoints = guard.savepoints - 1;
        guard.disarm(savepoints);
        Ok(())
    }
}

/// Poisons a unit of work until it is disarmed.
///
/// The constructor writes the state, and not the destructor: a pending future that is leaked runs no destructors, and must
/// leave the unit of work poisoned as well.
struct PoisonGuard<'w> {
    work: &'w mut UnitOfWork,
    /// How many savepoints were open before.
    savepoints: u32,
}

impl<'w> PoisonGuard<'w> {
    /// # Errors
    ///
    /// If the unit of work is poisoned already.
    fn arm(work: &'w mut UnitOfWork) -> Result<Self, WorkError> {
        let savepoints = work.open_savepoints()?;
        work.state = WorkState::Poisoned;
        Ok(Self { work, savepoints })
    }

    /// Makes the unit of work usable again, with `savepoints` open savepoints.
    fn disarm(self, savepoints: u32) {
        self.work.state = WorkState::Open { savepoints };
    }
}
