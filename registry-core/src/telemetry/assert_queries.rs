//! The check of the number of queries, for tests.

use super::query::RecordedQueries;

/// Fails unless a scope has run that many queries. The failure lists them, with the places that have run them.
///
/// `BEGIN`, `COMMIT`, `ROLLBACK` and savepoints are not counted. A scope records in debug builds, and so in tests, unless
/// [`RegistryBuilder::record_queries`](crate::RegistryBuilder::record_queries) says otherwise. The macro also takes a registry
/// that records.
///
/// # Panics
///
/// If the number of queries is another one, or if queries are not recorded.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{BindDsl, Registry, RunQueryDsl, assert_queries, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "default", backend = Sqlite; events);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let scope = registry.new_scope();
/// # scope.record_queries(true); // in release builds, too
/// scope.enter(events::table.select(events::id).load::<i32>(&registry)).await?;
/// assert_queries!(scope, 1);
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! assert_queries {
    ($scope:expr, $count:expr $(,)?) => {
        $crate::private::assert_query_count(&$scope.queries(), $count, ::core::option::Option::None)
    };
    ($scope:expr, $count:expr, $($message:tt)+) => {
        $crate::private::assert_query_count(
            &$scope.queries(),
            $count,
            ::core::option::Option::Some(::core::format_args!($($message)+)),
        )
    };
}

/// What [`assert_queries!`](crate::assert_queries) calls.
///
/// # Panics
///
/// As the macro says.
#[track_caller]
pub fn assert_query_count(
    queries: &RecordedQueries,
    expected: usize,
    message: Option<std::fmt::Arguments<'_>>,
) {
    let message = message.map(|message| format!("{message}: ")).unwrap_or_default();
    assert!(
        queries.is_recording(),
        "{message}queries are not recorded: call `record_queries(true)` on the builder of the registry, or on the scope"
    );
    assert!(
        queries.total() == expected as u64,
        "{message}expected {expected} queries, and there were {}:\n{queries}",
        queries.total()
    );
}
