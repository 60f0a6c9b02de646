//! sqlx and its own pool.

use std::hint::black_box;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::{Acquire, Find};
use crate::CONNECTIONS;
use crate::database::{Item, QUERY};

/// With a ping of the server each time a connection is lent.
pub(crate) fn default(url: &str) -> PgPool {
    pool(PgPoolOptions::new(), url)
}

/// Without pings.
pub(crate) fn tuned(url: &str) -> PgPool {
    pool(PgPoolOptions::new().test_before_acquire(false), url)
}

fn pool(options: PgPoolOptions, url: &str) -> PgPool {
    options.max_connections(CONNECTIONS).connect_lazy(url).expect("a pool")
}

impl Acquire for PgPool {
    async fn acquire(&self) {
        black_box(&self.acquire().await.expect("a connection"));
    }
}

impl Find for PgPool {
    type Row = Item;

    async fn find(&self, id: i64) -> Item {
        sqlx::query_as(QUERY).bind(id).fetch_one(self).await.expect("a row")
    }
}
