//! The table that every database has, once for each backend, as a table belongs to one bind.

/// How many rows the table has.
pub(crate) const ROWS: u64 = 1_000;

/// The key of the bind whose databases are those of tenants.
pub(crate) const SHOP: &str = "shop";

macro_rules! shop {
    ($module:ident, $backend:ident) => {
        pub(crate) mod $module {
            use diesel::prelude::*;

            diesel::table! {
                items (id) {
                    id -> BigInt,
                    name -> Text,
                    price -> Integer,
                    in_stock -> Bool,
                }
            }

            registry_core::bind_tables!(db = "shop", backend = $backend; items);

            #[derive(Queryable, Selectable, sqlx::FromRow)]
            #[diesel(table_name = items)]
            #[expect(dead_code, reason = "it is loaded and dropped")]
            pub(crate) struct Item {
                id: i64,
                name: String,
                price: i32,
                in_stock: bool,
            }
        }
    };
}

shop!(postgres, Postgres);
shop!(sqlite, Sqlite);

/// The statement that creates the table. The types are those of PostgreSQL, and SQLite takes them.
pub(crate) const CREATE: &str = "CREATE TABLE items (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    price INTEGER NOT NULL,
    in_stock BOOLEAN NOT NULL
)";

/// What the library and sqlx set on a connection to SQLite, for the peers that set nothing.
pub(crate) const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;";

/// The statement that fills it.
pub(crate) fn fill() -> String {
    format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ROWS})
        INSERT INTO items SELECT n, 'item number ' || n, n % 1000, n % 3 = 0 FROM numbers"
    )
}

/// An existing id. Consecutive numbers visit all rows in a scattered order.
pub(crate) fn id_of(number: u64) -> i64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    i64::try_from(mixed % ROWS + 1).expect("a small number")
}
