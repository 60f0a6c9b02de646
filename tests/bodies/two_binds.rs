//! Two binds on one database, with a table each, for the bodies about migrations.

use diesel_async::SimpleAsyncConnection;
use registry_core::{Registry, bind_tables};

diesel::table! {
    items (id) {
        id -> Integer,
    }
}
diesel::table! {
    logs (id) {
        id -> Integer,
    }
}
bind_tables!(db = "default", connection = super::Backend; items);
bind_tables!(db = "logging", connection = super::Backend; logs);

pub(crate) type Main = <items::table as registry_core::Bound>::Bind;
pub(crate) type Logging = <logs::table as registry_core::Bound>::Bind;

/// A registry with the two binds at this URL.
pub(crate) fn registry(url: &str) -> Registry {
    let builder = Registry::builder().bind("default", url).bind("logging", url);
    builder.build().expect("good settings")
}

/// Runs SQL outside any migration.
pub(crate) async fn run(registry: &Registry, sql: &str) {
    let mut session = registry.session::<Main>().await.expect("a session");
    session.batch_execute(sql).await.expect("it runs");
}

/// Whether the database has a table.
pub(crate) async fn has(registry: &Registry, table: &str) -> bool {
    let mut session = registry.session::<Main>().await.expect("a session");
    session.batch_execute(&format!("SELECT 1 FROM {table}")).await.is_ok()
}
