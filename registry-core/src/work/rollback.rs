//! Rolling back a unit of work.

use super::error::WorkError;
use super::meters::{WorkEnd, note_unit_of_work};
use super::participant::RollbackOutcome;
use super::unit_of_work::UnitOfWork;

impl UnitOfWork {
    /// Rolls back every bind that this unit of work has touched.
    ///
    /// The future waits for the databases one after another, for the engine's `check_timeout` (1 s by default) each at
    /// the most. If the future or the unit of work is dropped, a background task rolls back the rest.
    ///
    /// # Errors
    ///
    /// Every bind that can be rolled back is rolled back, even if the rollback of another bind fails. Then the error is
    ///
    /// - [`WorkError::Ended`] with the first bind whose transaction was ended by a statement of the program: the changes
    ///   before that statement may be committed;
    /// - else [`WorkError::NotTold`] with the first bind that did not confirm the rollback, because its connection is
    ///   lost or does not answer. That connection is closed, and its server rolls back when it notices the disconnect.
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
    /// work.rollback().await?;
    /// assert_eq!(users::table.count().get_result::<i64>(&registry).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rollback(mut self) -> Result<(), WorkError> {
        // Taken out of the unit of work, whose drop would report that it was neither committed nor rolled back.
        let mut participants = std::mem::take(&mut self.participants);
        let (mut ended, mut not_told, mut ends) = (None, None, Vec::new());
        for participant in participants.iter_mut() {
            let key = participant.key();
            let outcome = participant.roll_back().await;
            ends.push((key, WorkEnd::after_rollback(outcome)));
            match outcome {
                RollbackOutcome::RolledBack => {}
                RollbackOutcome::AlreadyEnded => ended = ended.or(Some(WorkError::Ended { key })),
                RollbackOutcome::NotConfirmed => {
                    not_told = not_told.or(Some(WorkError::NotTold { key }));
                }
            }
        }
        // Now, as the drop of the list counts those that are in it as abandoned.
        ends.into_iter().for_each(|(key, end)| note_unit_of_work(key, end));
        participants.clear();
        ended.or(not_told).map_or(Ok(()), Err)
    }
}
