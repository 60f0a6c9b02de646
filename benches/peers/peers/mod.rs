//! What subjects of all databases have in common, and the pools that are generic over diesel-async's connections.

use diesel::QueryResult;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolableConnection, RecyclingMethod,
};
use futures_util::future::BoxFuture;

use crate::case::{Outcome, Worker};

pub(crate) mod bb8;
pub(crate) mod deadpool;
pub(crate) mod held;

/// The connections of each pool.
pub(crate) const CONNECTIONS: u32 = 10;

/// The tasks in the cases that have more tasks than connections.
pub(crate) const MANY: u32 = 64;

/// The rows of each table.
pub(crate) const ROWS: u64 = 10_000;

/// A pool that lends connections.
pub(crate) trait Acquire: Clone + Send + Sync + 'static {
    /// Acquires a connection and returns it.
    fn acquire(&self) -> impl Future<Output = Outcome> + Send;
}

/// Something that finds a row by its primary key.
pub(crate) trait Find: Clone + Send + Sync + 'static {
    /// Acquires a connection, loads the whole row, and returns the connection.
    fn find(&self, id: i64) -> impl Future<Output = Outcome> + Send;
}

/// Something that inserts a row.
pub(crate) trait Insert: Clone + Send + Sync + 'static {
    /// Acquires a connection, inserts one row in a transaction of its own, and returns the connection.
    fn insert(&self, item: i64) -> impl Future<Output = Outcome> + Send;
}

/// A connection of diesel-async's.
pub(crate) trait Connection: PoolableConnection + 'static {
    /// Connects, and sets what all subjects on this database set.
    fn open(place: &str) -> BoxFuture<'_, diesel::ConnectionResult<Self>>;

    fn find(&mut self, id: i64) -> impl Future<Output = QueryResult<()>> + Send;
}

/// One that inserts too.
pub(crate) trait Inserting: Connection {
    fn insert(&mut self, item: i64) -> impl Future<Output = QueryResult<()>> + Send;
}

/// Whether a pool checks a connection before it lends it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Checks {
    /// With a query, each time: as the documentation of diesel-async begins.
    Default,
    Never,
}

fn manager<C: Connection>(place: &str, checks: Checks) -> AsyncDieselConnectionManager<C> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(C::open);
    if checks == Checks::Never {
        config.recycling_method = RecyclingMethod::Fast;
    }
    AsyncDieselConnectionManager::new_with_config(place, config)
}

/// A worker that acquires again and again.
#[derive(Clone)]
pub(crate) struct Acquires<P>(pub(crate) P);

impl<P: Acquire> Worker for Acquires<P> {
    async fn work(&mut self, _: u64) -> Outcome {
        self.0.acquire().await
    }
}

/// A worker that finds rows again and again.
#[derive(Clone)]
pub(crate) struct Finds<P>(pub(crate) P);

impl<P: Find> Worker for Finds<P> {
    async fn work(&mut self, number: u64) -> Outcome {
        self.0.find(id_of(number)).await
    }
}

/// A worker that inserts rows again and again.
#[derive(Clone)]
pub(crate) struct Inserts<P>(pub(crate) P);

impl<P: Insert> Worker for Inserts<P> {
    async fn work(&mut self, number: u64) -> Outcome {
        self.0.insert(id_of(number)).await
    }
}

/// A worker that finds nine rows for each that it inserts.
#[derive(Clone)]
pub(crate) struct Mixes<P>(pub(crate) P);

impl<P: Find + Insert> Worker for Mixes<P> {
    async fn work(&mut self, number: u64) -> Outcome {
        // The number of the task is in the upper half: tasks do not write at the same time by design.
        let (task, call) = (number >> 32, number & u64::from(u32::MAX));
        if (task + call).is_multiple_of(10) {
            self.0.insert(id_of(number)).await
        } else {
            self.0.find(id_of(number)).await
        }
    }
}

/// An existing id. Consecutive numbers visit all rows in a scattered order.
pub(crate) fn id_of(number: u64) -> i64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    i64::try_from(mixed % ROWS + 1).expect("a small number")
}
