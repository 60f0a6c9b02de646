//! sqlx and its own pool.

use std::hint::black_box;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::{Acquire, Find};
use crate::CONNECTIONS;
use crate::database::{Item, QUERY};

/// It asks the server for an answer each time it lends a connection.
pub(crate) fn default(url: &str) -> PgPool {
    pool(PgPoolOptions::new(), url)
}

/// It never asks.
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
