//! bb8: bare, and with diesel-async's connections.

use std::convert::Infallible;
use std::hint::black_box;

use bb8::ManageConnection;
pub(crate) use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, PoolError};

use super::{Acquire, CONNECTIONS, Checks, Connection, Find, Insert, Inserting, manager};
use crate::case::Outcome;

/// A manager of connections whose pool is one of diesel-async's.
pub(crate) trait Manager<C>: ManageConnection<Connection = C, Error = PoolError> {}

impl<C, M: ManageConnection<Connection = C, Error = PoolError>> Manager<C> for M {}

pub(crate) async fn open<C: Connection>(place: &str, checks: Checks) -> Pool<C>
where
    AsyncDieselConnectionManager<C>: Manager<C>,
{
    let builder = Pool::builder().max_size(CONNECTIONS);
    let builder = builder.test_on_check_out(checks == Checks::Default);
    builder.build(manager(place, checks)).await.expect("a pool")
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

/// The least that a pool over bb8 can cost: without checks, and with empty values as connections.
#[derive(Clone)]
pub(crate) struct Bare(bb8::Pool<Nothing>);

impl Bare {
    pub(crate) async fn new() -> Self {
        let builder = bb8::Pool::builder().max_size(CONNECTIONS).test_on_check_out(false);
        Self(builder.build(Nothing).await.expect("a pool"))
    }
}

impl Acquire for Bare {
    async fn acquire(&self) -> Outcome {
        black_box(&self.0.get_owned().await?);
        Ok(())
    }
}

struct Nothing;

impl ManageConnection for Nothing {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}
