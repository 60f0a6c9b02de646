//! sqlx and its own pool.

use std::hint::black_box;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::database::{FIND, Item};
use crate::case::Outcome;
use crate::peers::{Acquire, CONNECTIONS, Checks, Find};

/// By default with a ping of the server each time a connection is lent.
pub(crate) fn open(url: &str, checks: Checks) -> PgPool {
    PgPoolOptions::new()
        .test_before_acquire(checks == Checks::Default)
        .max_connections(CONNECTIONS)
        .connect_lazy(url)
        .expect("a pool")
}

impl Acquire for PgPool {
    async fn acquire(&self) -> Outcome {
        black_box(&self.acquire().await?);
        Ok(())
    }
}

impl Find for PgPool {
    async fn find(&self, id: i64) -> Outcome {
        let item: Item = sqlx::query_as(FIND).bind(id).fetch_one(self).await?;
        black_box(item);
        Ok(())
    }
}
