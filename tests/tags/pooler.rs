//! Tags behind a pooler in transaction mode.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use registry_core::{BindDsl, Registry, RunQueryDsl, Settings, SqlTags, bind_tables};

use crate::parser::tags_of;
use crate::support::pgbouncer::Pooler;
use crate::support::postgres;
use crate::traces::Spans;

diesel::table! { things (id) { id -> Integer, } }
bind_tables!(db = "main", connection = registry_core::Postgres; things);

#[derive(QueryableByName)]
struct Own {
    #[diesel(sql_type = Text)]
    query: String,
}

#[tokio::test]
async fn tags_pass_a_pooler_in_transaction_mode() {
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "2")];
    let pooler = Pooler::before(postgres(), &settings);
    let url = pooler.url(&postgres().database("tags"));
    let settings = format!("[binds.main]\nurl = \"{url}\"\npooler = \"transaction\"\n");
    let spans = Arc::new(Spans::default());
    let current = Arc::clone(&spans);
    let tags =
        SqlTags::new().application("behind").traceparent(move || Some(current.traceparent()));
    let registry = Registry::builder()
        .settings(Settings::from_toml(&settings).expect("good settings"))
        .sql_tags(tags)
        .build()
        .expect("good settings");
    let create = "CREATE TABLE things (id INTEGER PRIMARY KEY)";
    sql_query(create).bound_to::<things::table>().execute(&registry).await.expect("a table");
    for is_sampled in [false, true, false, true] {
        spans.are_sampled.store(is_sampled, Ordering::Relaxed);
        for _ in 0..10 {
            let id = things::table.count().get_result::<i64>(&registry).await.expect("a count");
            let id = i32::try_from(id).expect("few");
            let insert = diesel::insert_into(things::table).values(things::id.eq(id));
            insert.execute(&registry).await.expect("a row");
            let own = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()";
            let own = sql_query(own).bound_to::<things::table>();
            let Own { query } = own.get_result(&registry).await.expect("its own row");
            let (_, tags) = tags_of(&query);
            assert_eq!(tags[0], ("application".to_owned(), "behind".to_owned()));
            assert_eq!(tags.len(), if is_sampled { 2 } else { 1 }, "{query}");
        }
    }
    let refused = sql_query("LISTEN news").bound_to::<things::table>().execute(&registry).await;
    refused.expect_err("it needs a session of its own, with tags or without");
}
