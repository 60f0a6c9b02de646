//! The compared subjects.

use std::hint::black_box;

use crate::database::id_of;
use crate::measure::Worker;

pub(crate) mod bb8;
pub(crate) mod deadpool;
pub(crate) mod held;
pub(crate) mod ours;
pub(crate) mod seaorm;
pub(crate) mod sqlx;

/// A pool that lends connections.
pub(crate) trait Acquire: Clone + Send + Sync + 'static {
    /// Acquires a connection and returns it.
    fn acquire(&self) -> impl Future<Output = ()> + Send;
}

/// Something that finds a row by its primary key.
pub(crate) trait Find: Clone + Send + Sync + 'static {
    type Row: Send;

    /// Acquires a connection, loads the row, and returns the connection.
    fn find(&self, id: i64) -> impl Future<Output = Self::Row> + Send;
}

/// A worker that acquires again and again.
pub(crate) struct Acquires<P>(pub(crate) P);

impl<P: Acquire> Worker for Acquires<P> {
    async fn work(&mut self, _: u64) {
        self.0.acquire().await;
    }
}

/// A worker that finds rows again and again.
pub(crate) struct Finds<P>(pub(crate) P);

impl<P: Find> Worker for Finds<P> {
    async fn work(&mut self, number: u64) {
        black_box(self.0.find(id_of(number)).await);
    }
}
