//! sqlx and its own pool.

use std::hint::black_box;

use sqlx::MySqlPool;
use sqlx::mysql::MySqlPoolOptions;

use super::database::{FIND, INSERT, Item};
use crate::case::Outcome;
use crate::peers::{CONNECTIONS, Checks, Find, Insert};

/// By default with a ping of the server each time a connection is lent.
pub(crate) fn open(url: &str, checks: Checks) -> MySqlPool {
    MySqlPoolOptions::new()
        .test_before_acquire(checks == Checks::Default)
        .max_connections(CONNECTIONS)
        .connect_lazy(url)
        .expect("a pool")
}

impl Find for MySqlPool {
    async fn find(&self, id: i64) -> Outcome {
        let item: Item = sqlx::query_as(FIND).bind(id).fetch_one(self).await?;
        black_box(item);
        Ok(())
    }
}

impl Insert for MySqlPool {
    async fn insert(&self, item: i64) -> Outcome {
        sqlx::query(INSERT).bind(item).bind(1).execute(self).await?;
        Ok(())
    }
}
