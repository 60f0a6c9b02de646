//! Several queries at once behind the pooler.

use diesel::prelude::*;
use diesel::sql_query;
use futures_util::future::try_join_all;
use registry_core::{BindDsl, Db, Name, Postgres, RunQueryDsl, bind_tables};
use tokio::join;

use super::rig::{by_transaction, registry};
use crate::support::postgres;
use crate::support::proxy::soon;

diesel::table! { things (id) { id -> Integer, what -> Text, } }
bind_tables!(db = "main", connection = Postgres; things);

type Main = Db<Postgres, Name<'m', 'a', 'i', 'n'>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_at_once_each_get_their_own_answer() {
    let direct = postgres().database("pipelines");
    let pooler = by_transaction(postgres());
    let registry = registry(&pooler.url(&direct), "max_connections = 4");
    let create = "CREATE TABLE things (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    sql_query(create).bound_to::<Main>().execute(&registry).await.expect("an empty database");
    let fill = "INSERT INTO things SELECT n, 'thing ' || n FROM generate_series(1, 10) n";
    sql_query(fill).bound_to::<Main>().execute(&registry).await.expect("ten things");
    // Each client has as many queries under way, on server connections that they share.
    let clients = (0..4).map(|client| {
        let registry = registry.clone();
        async move {
            let mut session = registry.session::<Main>().await.expect("a session");
            for _ in 0..20 {
                let on = &session;
                let all = (1..=10).map(|id| {
                    let text = things::table.filter(things::id.eq(id)).select(things::what);
                    text.get_result::<String>(on)
                });
                let (all, refused) = join!(try_join_all(all), sql_query("LISTEN news").execute(on));
                let all = all.expect("ten answers");
                assert_eq!(all, (1..=10).map(|id| format!("thing {id}")).collect::<Vec<_>>());
                refused.expect_err("a statement of a session");
                session
                    .transaction(async |session| {
                        let insert = |id: i32| {
                            diesel::insert_into(things::table)
                                .values((things::id.eq(100 * client + id), things::what.eq("new")))
                                .execute(&*session)
                        };
                        try_join_all((100..110).map(insert)).await?;
                        let new = things::what.eq("new").and(things::id.ge(100 * client + 100));
                        let mine = new.and(things::id.lt(100 * client + 110));
                        diesel::delete(things::table.filter(mine)).execute(&*session).await
                    })
                    .await
                    .map(|deleted| assert_eq!(deleted, 10))
                    .expect("it commits");
            }
        }
    });
    soon(futures_util::future::join_all(clients)).await;
}
