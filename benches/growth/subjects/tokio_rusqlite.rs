//! A `HashMap` of tokio-rusqlite's connections: one for each database, on a thread of its own.

use std::hint::black_box;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_rusqlite::{Connection, rusqlite};

use super::{Pools, Subject, Urls};
use crate::schema::SQLITE_SETTINGS;

#[derive(Clone)]
pub(crate) struct TokioRusqlite(Arc<Pools<Lazy>>);

struct Lazy {
    path: String,
    connection: OnceCell<Connection>,
}

impl TokioRusqlite {
    pub(crate) fn new(urls: &Urls) -> Self {
        let lazy = |url: &str| {
            let path = url.trim_start_matches("sqlite://").to_owned();
            Lazy { path, connection: OnceCell::new() }
        };
        Self(Arc::new(Pools::new(urls, lazy)))
    }
}

impl Subject for TokioRusqlite {
    type Held = Connection;

    async fn hold(&self, bind: usize) -> Connection {
        let Lazy { path, connection } = self.0.of(bind);
        let open = async || {
            let connection = Connection::open(path).await?;
            connection
                .call(|connection| connection.execute_batch(SQLITE_SETTINGS))
                .await
                .map(|()| connection)
        };
        let connection = connection.get_or_try_init(open).await;
        connection.expect("a file").clone()
    }

    async fn read(&self, bind: usize, id: i64) {
        const QUERY: &str = "SELECT items.id, items.name, items.price, items.in_stock FROM items WHERE items.id = ?";

        let connection = self.hold(bind).await;
        let row =
            connection.call(move |connection| -> rusqlite::Result<(i64, String, i32, bool)> {
                let mut statement = connection.prepare_cached(QUERY)?;
                statement
                    .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            });
        black_box(row.await.expect("a row"));
    }
}
