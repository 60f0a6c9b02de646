//! A `HashMap` of sqlx's pools.

use std::hint::black_box;
use std::sync::Arc;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Pool, Postgres};

use super::{Pools, Subject, Urls};
use crate::plan::CONNECTIONS;
use crate::schema;

/// The SQL that Diesel generates.
const POSTGRES: &str =
    "SELECT items.id, items.name, items.price, items.in_stock FROM items WHERE items.id = $1";

#[derive(Clone)]
pub(crate) struct OfPostgres(Arc<Pools<Pool<Postgres>>>);

impl OfPostgres {
    /// By default, it pings the server each time a connection is lent.
    pub(crate) fn new(urls: &Urls, with_ping: bool) -> Self {
        let pool = |url: &str| {
            let options = PgPoolOptions::new().max_connections(CONNECTIONS);
            options.test_before_acquire(with_ping).connect_lazy(url).expect("a pool")
        };
        Self(Arc::new(Pools::new(urls, pool)))
    }
}

impl Subject for OfPostgres {
    type Held = sqlx::pool::PoolConnection<Postgres>;

    async fn hold(&self, bind: usize) -> Self::Held {
        self.0.of(bind).acquire().await.expect("a connection")
    }

    async fn read(&self, bind: usize, id: i64) {
        let query = sqlx::query_as::<_, schema::postgres::Item>(POSTGRES).bind(id);
        black_box(query.fetch_one(self.0.of(bind)).await.expect("a row"));
    }
}
