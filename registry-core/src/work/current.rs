//! The unit of work of the scope that the calling task is in.

use std::future::Future;
use std::panic::Location;

use super::current_work::CurrentWork;
use super::error::WorkError;
use super::scope::Scope;
use super::unit_of_work::UnitOfWork;

impl UnitOfWork {
    /// The unit of work of the current scope, begun if the scope has none yet. The caller holds it exclusively until the
    /// returned value is dropped; other callers in the scope wait.
    ///
    /// The future waits until no other user holds the unit of work, for `acquire_timeout` (30 s by default) at the most.
    /// Dropping the future gives up the place in the queue, and changes nothing else.
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
    /// A function that holds the unit of work and awaits another function must pass the unit of work as an argument. If
    /// the other function requests the unit of work as well, neither function can continue. The request then fails with
    /// an error that is not transient:
    ///
    /// - after 100 ms, if nothing in the future that has entered the scope waits for anything else;
    /// - after 5 s, if nothing else was pending when the wait began: an operation that became pending since then may be a
    ///   time-out around the caller;
    /// - after `acquire_timeout` otherwise, since the other pending operations may belong to the holder of the unit of
    ///   work, as in a `join!` of two futures that each take it, use it and drop it.
    ///
    /// The request also waits for `acquire_timeout` where a deadlock looks like a wait for another user: if the caller is
    /// in an executor inside of the future, such as `FuturesUnordered` or `buffer_unordered`; if the caller uses a scope
    /// that it has not entered, by [`Scope::work`] alone; and if the caller is in another task that the future of the
    /// scope awaits while it holds the unit of work.
    ///
    /// A wait is a deadlock only if the holder has not used the unit of work during the wait. A future or a task that
    /// was given the unit of work should use it at once, since the scope notices a new holder only by its first use.
    /// Until then the scope takes the giver for the holder: if the giver requests the unit of work again, and waits for
    /// nothing else, the request fails after 100 ms if another task was given the unit of work and does not use it, and
    /// after 5 s if a sibling future in a `join!` was given it and does not use it.
    ///
    /// # Errors
    ///
    /// - [`WorkError::NoScope`] outside of a scope.
    /// - [`WorkError::ScopeEnded`] if the scope has ended, for example in a task that has outlived the scope.
    /// - [`WorkError::InUse`] if another user in the scope holds the unit of work for all of `acquire_timeout`. The error
    ///   is transient, except for a self-deadlock, and except if the holder is the future that the scope runs, in another
    ///   task, and has not used the unit of work during the wait.
    #[track_caller]
    pub fn current() -> impl Future<Output = Result<CurrentWork, WorkError>> + Send {
        let at = Location::caller();
        async move { Scope::current()?.work_at(Some(at)).await }
    }
}
