//! tokio-rusqlite: one connection, on a thread of its own.

use std::hint::black_box;

use tokio_rusqlite::{Connection, rusqlite};

use super::database::{FIND, INSERT, SETTINGS, STATE, check};
use crate::case::Outcome;
use crate::peers::{Find, Insert};

pub(crate) async fn open(path: &str) -> Connection {
    let connection = Connection::open(path).await.expect("a file");
    let settings = connection.call(|connection| -> rusqlite::Result<String> {
        connection.execute_batch(SETTINGS)?;
        connection.query_row(STATE, [], |row| row.get(0))
    });
    check(&settings.await.expect("settings of SQLite's"));
    connection
}

impl Find for Connection {
    async fn find(&self, id: i64) -> Outcome {
        let item = self.call(move |connection| -> rusqlite::Result<(i64, String, i32, bool)> {
            let mut statement = connection.prepare_cached(FIND)?;
            statement
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        });
        black_box(item.await?);
        Ok(())
    }
}

impl Insert for Connection {
    async fn insert(&self, item: i64) -> Outcome {
        let insert = self.call(move |connection| -> rusqlite::Result<usize> {
            connection.prepare_cached(INSERT)?.execute([item, 1])
        });
        insert.await?;
        Ok(())
    }
}
