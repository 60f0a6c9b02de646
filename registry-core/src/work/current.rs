//! The unit of work of the scope that the calling task is in.

use std::future::Future;
use std::panic::Location;

use super::current_work::CurrentWork;
use super::error::WorkError;
use super::scope::Scope;
use super::unit_of_work::UnitOfWork;

impl UnitOfWork {
    /// The unit of work of the current scope, begun if it is not yet. Nobody else in the scope has it until the returned
    /// value is dropped; others wait for it.
    ///
    /// It waits until nobody else has it, for `acquire_timeout` (30 s by default) at the most. Dropping the future gives
    /// up the place in the queue, and changes nothing else.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, UnitOfWork, bind_tables};
    /// # diesel::table! { events (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; events);
    /// async fn note(id: i32) -> Result<(), Error> {
    ///     let mut work = UnitOfWork::current().await?;
    ///     diesel::insert_into(events::table).values(events::id.eq(id)).execute(&mut *work).await?;
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// registry
    ///     .try_scope(async {
    ///         note(1).await?;
    ///         note(2).await
    ///     })
    ///     .await?;
    /// assert_eq!(events::table.count().get_result::<i64>(&registry).await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Self-deadlock
    ///
    /// A function that awaits another one while it has the unit of work must hand it on, as an argument: if the other
    /// one asks for it as well, neither can go on. That is an error which is not transient, and which comes
    ///
    /// - after 100 ms, if nothing in the future that has entered the scope waits for anything else;
    /// - after 5 s, if nothing else was waited for when the caller began to wait: what is waited for since then may be a
    ///   time-out around it;
    /// - after `acquire_timeout` otherwise, since what else is waited for may belong to whoever has the unit of work, as
    ///   in a `join!` of two futures that each take it, use it and drop it.
    ///
    /// It takes `acquire_timeout` as well where the deadlock cannot be told from a wait for somebody else: if the caller
    /// is in an executor inside of the future, such as `FuturesUnordered` or `buffer_unordered`; if it is in a scope that
    /// is not entered, by [`Scope::work`] alone; and if it is in another task, which the future of the scope awaits while
    /// it has the unit of work.
    ///
    /// In each case it is a deadlock only if whoever has the unit of work has not used it meanwhile. A future or a task
    /// that was handed the unit of work should use it at once, since the hand-over cannot be seen before that. Another
    /// task that does nothing with it for 100 ms is taken for the one that handed it over, if that one asks for it and
    /// waits for nothing else; so is a future beside it, in a `join!`, which does nothing with it for 5 s.
    ///
    /// # Errors
    ///
    /// - [`WorkError::NoScope`] outside of a scope.
    /// - [`WorkError::ScopeEnded`] if the scope has ended, as in a task that has outlived it.
    /// - [`WorkError::InUse`] if somebody else in the scope has the unit of work for all of `acquire_timeout`, which is
    ///   transient, or if the task would wait for itself, which is not. Nor is it transient if the future that the scope
    ///   runs has had it all the time in another task, and has done nothing with it.
    #[track_caller]
    pub fn current() -> impl Future<Output = Result<CurrentWork, WorkError>> + Send {
        let at = Location::caller();
        async move { Scope::current()?.work_at(Some(at)).await }
    }
}
