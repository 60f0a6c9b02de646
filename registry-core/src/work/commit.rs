//! The commit of a unit of work: the checks and commits of its participants, in order.
//!
//! 1. **The order** is determined: first the keys of [`UnitOfWork::commit_in_order`] or
//!    [`WorkOptions::commit_order`](crate::WorkOptions::commit_order), then the other binds in the order of their first
//!    use. A key without a bind ends the commit before any database is asked, because the intended bind would be
//!    committed at another position.
//! 2. **Every participant is checked before the first is committed** ([`Coordinator::check_all`]). The checks
//!    without a round trip come first, for all participants: a transaction that has ended, a savepoint that is still
//!    open. Then each database is asked, in the order of the commits, whether its transaction is open and not aborted.
//!    The checks find errors while all participants can still be rolled back. A checked participant is not in the
//!    prepared state of a two-phase commit: no database promises that it will commit.
//! 3. **The participants are committed one after another** ([`Coordinator::commit_all`]). Each answer is awaited before
//!    the next commit is sent. So when a commit fails or is not answered, all later participants are still
//!    uncommitted. The session of a participant goes back to its pool as soon as it is committed.
//! 4. **At the first failure, the rest is rolled back** ([`Coordinator::roll_back_rest`]), in the same order. The
//!    participants that were committed before stay committed, since a database cannot undo a commit.
//!
//! At most one participant is in doubt ([`Outcome::InDoubt`]): the participant whose `COMMIT` was sent and not answered.
//! If the future is dropped at that moment, the participant is in doubt as well, and the drop of [`Participants`] abandons
//! the participants behind it. A participant whose transaction was ended by a statement of the program
//! ([`Outcome::Ended`]) may be committed too, but it was so before the commit began.
//!
//! To commit in parallel, steps 3 and 4 would have to change: several participants can be in doubt then,
//! [`CommitError::in_doubt`] names one, and the order would no longer decide which databases are committed when one
//! fails. Steps 1 and 2 and the participants can stay as they are.

use super::error::WorkError;
use super::meters::{WorkEnd, note_unit_of_work};
use super::outcome::{CommitError, Committed, Outcome, WorkFailure};
use super::participant::{CommitFailure, CommitRefusal, RollbackOutcome};
use super::participants::Participants;
use super::unit_of_work::UnitOfWork;
use crate::backend::error_class::ErrorClass;
use crate::settings::{BindKey, WrongKeys};
use crate::token::Token;

impl UnitOfWork {
    /// Commits every bind that this unit of work has touched: first the binds in
    /// [`WorkOptions::commit_order`](crate::WorkOptions::commit_order), then the others in the order of their first use.
    ///
    /// The databases commit one after another: the commit is not atomic over several databases. Before the first commit
    /// is sent, each database is asked whether it can commit, as far as it can know. If a commit fails all the same, the
    /// databases before it stay committed, and the databases after it are rolled back.
    ///
    /// The future waits for the answer of each database, without a limit of its own. If the future is dropped, the
    /// databases that have committed stay committed, and the others are rolled back in the background. A database whose
    /// commit was in progress may be committed or rolled back.
    ///
    /// # Errors
    ///
    /// [`CommitError`] has the outcome of each bind.
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
    /// match work.commit().await {
    ///     Ok(committed) => assert_eq!(committed.keys, ["default"]),
    ///     Err(error) if error.is_rolled_back() => println!("nothing was stored: {error}"),
    ///     Err(error) => println!("some of it may be stored: {error}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn commit(mut self) -> Result<Committed, CommitError> {
        let order = std::mem::take(&mut self.options).into_commit_order();
        self.commit_in_order(&order).await
    }

    /// Commits the binds with these keys in this order, then the others in the order of their first use.
    ///
    /// Keys of binds that were not touched are skipped. [`WorkOptions::commit_order`](crate::WorkOptions::commit_order)
    /// is ignored. Put the database whose commit is most likely to fail first: a database with deferred constraints or
    /// serialization failures. Otherwise as [`commit`](Self::commit).
    ///
    /// # Errors
    ///
    /// The errors of [`commit`](Self::commit). If a key has no bind, or is given twice, nothing is committed, and
    /// [`CommitError::wrong_keys`] names the wrong keys: a commit in another order than the intended one could leave the
    /// wrong database committed.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # bind_tables!(db = "analytics", backend = Sqlite; events);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder()
    /// #     .bind("default", "sqlite::memory:").bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let mut work = registry.begin();
    /// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut work).await?;
    /// diesel::insert_into(events::table).values(events::id.eq(1)).execute(&mut work).await?;
    /// let committed = work.commit_in_order(&["analytics"]).await?;
    /// assert_eq!(committed.keys, ["analytics", "default"]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn commit_in_order<K: AsRef<str>>(
        mut self,
        keys: &[K],
    ) -> Result<Committed, CommitError> {
        // Taken out of the unit of work, whose drop would report that it was neither committed nor rolled back.
        let mut coordinator = Coordinator {
            participants: std::mem::take(&mut self.participants),
            committed: Vec::new(),
            token: Token::default(),
        };
        if let Err(wrong_keys) =
            WrongKeys::check_commit_order(keys, self.sessions.registry().bind_keys())
        {
            let error = coordinator.roll_back_rest(None).await;
            return Err(CommitError { wrong_keys: Some(wrong_keys), ..error });
        }
        coordinator.sort(keys);
        coordinator.run(self.state.is_committable()).await
    }
}

/// The participants of a unit of work on their way through the commit.
struct Coordinator {
    /// The participants that are not committed yet, in the order of the commits.
    participants: Participants,
    /// The keys of the participants that are committed.
    committed: Vec<BindKey>,
    /// Where their commits are in the logs.
    token: Token,
}

/// The participant that cannot be committed, or whose commit failed.
struct Failure {
    /// Its index among the participants that are not committed.
    index: usize,
    outcome: Outcome,
    class: Option<ErrorClass>,
}

impl Coordinator {
    fn sort<K: AsRef<str>>(&mut self, keys: &[K]) {
        // The sort is stable: participants that `keys` does not name stay in the order of their first use.
        self.participants.sort_by_key(|participant| {
            let is_its_key = |key: &K| participant.key() == *key.as_ref();
            keys.iter().position(is_its_key).unwrap_or(usize::MAX)
        });
    }

    async fn run(mut self, is_committable: bool) -> Result<Committed, CommitError> {
        let outcome = match self.check_all(is_committable).await {
            Ok(()) => self.commit_all().await,
            refused => refused,
        };
        match outcome {
            Ok(()) => Ok(Committed { keys: self.committed, token: self.token }),
            Err(failure) => Err(self.roll_back_rest(Some(failure)).await),
        }
    }

    /// Checks whether all participants can be committed, as far as that can be known before the commit.
    async fn check_all(&mut self, is_committable: bool) -> Result<(), Failure> {
        if let Some((index, error)) = self.participants.first_end() {
            return Err(self.refused(index, error.into()));
        }
        if !is_committable {
            return Err(self.refused(0, WorkError::Abandoned.into()));
        }
        let is_one_of_several = self.participants.len() > 1;
        for index in 0..self.participants.len() {
            let participant = &mut self.participants[index];
            if let Err(refusal) = participant.check_before_commit(is_one_of_several).await {
                return Err(self.refused(index, refusal));
            }
        }
        Ok(())
    }

    fn refused(&self, index: usize, refusal: CommitRefusal) -> Failure {
        let CommitRefusal { failure, class } = refusal;
        let rollback_class = || self.participants.get(index)?.rollback_class();
        let class = class.or_else(rollback_class);
        let outcome = match failure {
            WorkFailure::Work(WorkError::Ended { .. }) => Outcome::Ended,
            failure => Outcome::Failed(failure),
        };
        Failure { index, outcome, class }
    }

    async fn commit_all(&mut self) -> Result<(), Failure> {
        while let Some(participant) = self.participants.first_mut() {
            // If the future is dropped here, this participant is in doubt.
            match participant.commit().await {
                Ok(token) => self.token.merge(&token),
                Err(CommitFailure { error, class, is_rolled_back }) => {
                    let outcome = match is_rolled_back {
                        true => Outcome::Failed(error.into()),
                        false => Outcome::InDoubt(error),
                    };
                    return Err(Failure { index: 0, outcome, class });
                }
            }
            note_unit_of_work(participant.key(), WorkEnd::Committed);
            self.committed.push(participant.key());
            self.participants.remove(0);
        }
        Ok(())
    }

    /// Rolls back the participants that are not committed, and returns the outcome of each participant.
    async fn roll_back_rest(mut self, mut failure: Option<Failure>) -> CommitError {
        let committed = self.committed.into_iter().map(|key| (key, Outcome::Committed));
        let mut binds: Vec<_> = committed.collect();
        let mut class = None;
        for (index, participant) in self.participants.iter_mut().enumerate() {
            let rollback = participant.roll_back().await;
            let own = failure.take_if(|failure| failure.index == index);
            let own = own.map(|failure| {
                class = failure.class;
                failure.outcome
            });
            let outcome = match (own, rollback) {
                // The rollback finds no transaction, whether the database has committed or not.
                (Some(Outcome::InDoubt(error)), _) => Outcome::InDoubt(error),
                (_, RollbackOutcome::AlreadyEnded) => Outcome::Ended,
                (Some(own), _) => own,
                (None, RollbackOutcome::RolledBack | RollbackOutcome::NotConfirmed) => {
                    Outcome::RolledBack
                }
            };
            binds.push((participant.key(), outcome));
        }
        // Now, as the drop of the list counts those that are in it as abandoned.
        for (participant, (_, outcome)) in self.participants.iter().rev().zip(binds.iter().rev()) {
            note_unit_of_work(participant.key(), WorkEnd::of(outcome));
        }
        self.participants.clear();
        CommitError { binds, class, wrong_keys: None }
    }
}
