//! The method that saves a changed model.

use std::any::type_name;
use std::future::Future;
use std::panic::Location;

use diesel::Identifiable;
use diesel::associations::HasTable;
use diesel::query_builder::{AsChangeset, AsQuery, IntoUpdateTarget};
use diesel_async::UpdateAndFetchResults;

use super::check::Check;
use super::executor::lease::Lease;
use super::executor::{
    ConnectionOf, ErrorOf, Executor, IntoExecutor, Lender, QueryCall, QueryPlace,
};
use super::retry::query_error;
use super::routing::{RouteMarker, UpdateOf};

/// Saves a changed model: diesel-async's trait of the same name, for all executors.
///
/// `E` is the executor. The compiler infers `B`, the bind of the model's table, and `Via`, the part of the query that
/// determines the bind.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{BindDsl, Registry, RunQueryDsl, SaveChangesDsl, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, what -> Text, } }
/// bind_tables!(db = "analytics", backend = Sqlite; events);
///
/// #[derive(Queryable, Selectable, Identifiable, AsChangeset)]
/// struct Event {
///     id: i32,
///     what: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// # diesel::insert_into(events::table).values(events::what.eq("sign-up")).execute(&registry).await?;
/// let mut event: Event = events::table.first(&registry).await?;
/// event.what = "log-in".to_owned();
/// let saved: Event = event.save_changes(&registry).await?;
/// assert_eq!(saved.what, "log-in");
/// # Ok(())
/// # }
/// ```
pub trait SaveChangesDsl<E, B, Via: RouteMarker>: Sized {
    /// Updates the row that this model identifies, and returns the updated row.
    ///
    /// On `&registry` and `&tenant` this waits for a session first. Dropping the future cancels the update, as with
    /// [`RunQueryDsl`](super::RunQueryDsl).
    ///
    /// # Errors
    ///
    /// Those of the [executor](super), and Diesel's `NotFound` if there is no such row.
    #[track_caller]
    fn save_changes<T>(self, on: E) -> impl Future<Output = Result<T, ErrorOf<E, B>>> + Send
    where
        Self: Identifiable + AsChangeset + HasTable<Table: AsQuery> + Send,
        E: IntoExecutor<
            Executor: Executor<UpdateOf<<<Self as HasTable>::Table as AsQuery>::Query>, B, Via>,
        >,
        ConnectionOf<E, B>: UpdateAndFetchResults<Self, T>,
        T: Send,
    {
        let at = Location::caller();
        let (lease, _) =
            on.into_executor(QueryCall::of::<E, B>(at)).lease(QueryPlace::of_write(at));
        async move {
            let mut lease = lease.await?;
            let changes = type_name::<Self::Changeset>();
            if let Err(error) = Check::for_lease::<E::Executor, B>(&lease).check_changeset(changes)
            {
                return Err(query_error::<E::Executor, B>(&mut lease, error).await.into());
            }
            match lease.connection().update_and_fetch(self).await {
                Ok(saved) => Ok(saved),
                Err(error) => Err(query_error::<E::Executor, B>(&mut lease, error).await.into()),
            }
        }
    }
}

// Implemented for references to models alone, as in diesel-async, so that `model.save_changes(..)` borrows the model.
impl<M, E, B, Via: RouteMarker> SaveChangesDsl<E, B, Via> for M where
    M: Copy + AsChangeset<Target = <M as HasTable>::Table> + IntoUpdateTarget
{
}
