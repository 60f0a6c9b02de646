//! A `HashMap` of sqlx's pools.

use std::hint::black_box;
use std::sync::Arc;

use sqlx::pool::{Pool, PoolConnection, PoolOptions};

use super::{Pools, Subject, Urls};
use crate::plan::{CONNECTIONS, Checks};

/// The pools of a database. They are not generic, as the bounds of sqlx's queries would have to be repeated.
macro_rules! pools {
    ($name:ident, $database:ty, $row:ty, $query:literal) => {
        #[derive(Clone)]
        pub(crate) struct $name(Arc<Pools<Pool<$database>>>);

        impl $name {
            /// By default, it pings a connection each time it is lent.
            pub(crate) fn new(urls: &Urls, checks: Checks) -> Self {
                let pool = |url: &str| {
                    let options = PoolOptions::<$database>::new().max_connections(CONNECTIONS);
                    let options = options.test_before_acquire(checks == Checks::Default);
                    options.connect_lazy(url).expect("a pool")
                };
                Self(Arc::new(Pools::new(urls, pool)))
            }
        }

        impl Subject for $name {
            type Held = PoolConnection<$database>;

            async fn hold(&self, bind: usize) -> Self::Held {
                self.0.of(bind).acquire().await.expect("a connection")
            }

            async fn read(&self, bind: usize, id: i64) {
                let query = sqlx::query_as::<_, $row>($query).bind(id);
                black_box(query.fetch_one(self.0.of(bind)).await.expect("a row"));
            }
        }
    };
}

// The SQL that Diesel generates.
pools!(
    OfPostgres,
    sqlx::Postgres,
    crate::schema::postgres::Item,
    "SELECT items.id, items.name, items.price, items.in_stock FROM items WHERE items.id = $1"
);
pools!(
    OfSqlite,
    sqlx::Sqlite,
    crate::schema::sqlite::Item,
    "SELECT items.id, items.name, items.price, items.in_stock FROM items WHERE items.id = ?"
);
