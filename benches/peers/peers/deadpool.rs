//! deadpool with diesel-async's connections.

use std::hint::black_box;

use deadpool::managed::Manager as Manage;
pub(crate) use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, PoolError};

use super::{Acquire, CONNECTIONS, Checks, Connection, Find, Insert, Inserting, manager};
use crate::case::Outcome;

/// A manager of connections whose pool is one of diesel-async's.
pub(crate) trait Manager<C>: Manage<Type = C, Error = PoolError> {}

impl<C, M: Manage<Type = C, Error = PoolError>> Manager<C> for M {}

pub(crate) fn open<C: Connection>(place: &str, checks: Checks) -> Pool<C>
where
    AsyncDieselConnectionManager<C>: Manager<C>,
{
    let builder = Pool::builder(manager(place, checks));
    builder.max_size(CONNECTIONS as usize).build().expect("a pool")
}

impl<C: Connection> Acquire for Pool<C>
where
    AsyncDieselConnectionManager<C>: Manager<C>,
{
    async fn acquire(&self) -> Outcome {
        black_box(&self.get().await?);
        Ok(())
    }
}

impl<C: Connection> Find for Pool<C>
where
    AsyncDieselConnectionManager<C>: Manager<C>,
{
    async fn find(&self, id: i64) -> Outcome {
        Ok(self.get().await?.find(id).await?)
    }
}

impl<C: Inserting> Insert for Pool<C>
where
    AsyncDieselConnectionManager<C>: Manager<C>,
{
    async fn insert(&self, item: i64) -> Outcome {
        Ok(self.get().await?.insert(item).await?)
    }
}
