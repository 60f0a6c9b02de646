//! sqlx and its own pool.

use std::hint::black_box;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::database::{FIND, INSERT, Item, STATE, check};
use crate::case::Outcome;
use crate::peers::{CONNECTIONS, Checks, Find, Insert};

/// By default with a round trip to the thread of the connection each time it is lent.
pub(crate) async fn open(path: &str, checks: Checks) -> SqlitePool {
    let connection = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5));
    let pool = SqlitePoolOptions::new()
        .test_before_acquire(checks == Checks::Default)
        .max_connections(CONNECTIONS)
        .connect_lazy_with(connection);
    check(&sqlx::query_scalar::<_, String>(STATE).fetch_one(&pool).await.expect("settings"));
    pool
}

impl Find for SqlitePool {
    async fn find(&self, id: i64) -> Outcome {
        let item: Item = sqlx::query_as(FIND).bind(id).fetch_one(self).await?;
        black_box(item);
        Ok(())
    }
}

impl Insert for SqlitePool {
    async fn insert(&self, item: i64) -> Outcome {
        sqlx::query(INSERT).bind(item).bind(1).execute(self).await?;
        Ok(())
    }
}
