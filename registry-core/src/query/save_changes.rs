//! `save_changes`.

use std::any::type_name;
use std::future::Future;
use std::panic::Location;

use diesel::Identifiable;
use diesel::associations::HasTable;
use diesel::query_builder::{AsChangeset, AsQuery, IntoUpdateTarget};
use diesel_async::UpdateAndFetchResults;

use super::check::Check;
use super::executor::Executor;
use super::executor::lease::Lease;
use super::retry::failed;

/// Saving a changed model: diesel-async's trait of that name, on more than connections.
///
/// `E` is the executor, and `B` and `Via` are for the compiler to find.
pub trait SaveChangesDsl<E, B, Via>: Sized {
    /// Updates the row that this model identifies, and returns it as it is then.
    ///
    /// # Errors
    ///
    /// Those of the executor, and Diesel's `NotFound` if there is no such row.
    #[track_caller]
    fn save_changes<T>(self, on: E) -> impl Future<Output = Result<T, E::Error>> + Send
    where
        Self: Identifiable + AsChangeset + HasTable<Table: AsQuery> + Send,
        E: Executor<<<Self as HasTable>::Table as AsQuery>::Query, B, Via>,
        E::Connection: UpdateAndFetchResults<Self, T>,
        T: Send,
    {
        let lease = on.lease(Location::caller());
        async move {
            let mut lease = lease.await?;
            let changes = type_name::<Self::Changeset>();
            if let Err(error) = Check::of::<E, B>().look_at_type(changes) {
                return Err(failed::<E, B>(&mut lease, error).await.into());
            }
            match lease.connection().update_and_fetch(self).await {
                Ok(saved) => Ok(saved),
                Err(error) => Err(failed::<E, B>(&mut lease, error).await.into()),
            }
        }
    }
}

// Of a model by reference alone, as with diesel-async: so `model.save_changes(..)` takes a reference.
impl<M, E, B, Via> SaveChangesDsl<E, B, Via> for M where
    M: Copy + AsChangeset<Target = <M as HasTable>::Table> + IntoUpdateTarget
{
}
