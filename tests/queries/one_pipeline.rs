//! What is sent while the answers of the server are held back.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use futures_util::future::try_join_all;
use registry_core::{Db, Name, Postgres, Registry, RunQueryDsl, bind_tables};
use tokio::try_join;

use crate::support;
use crate::support::proxy::{Proxy, soon};

diesel::table! { things (id) { id -> Integer, what -> Text, } }
bind_tables!(db = "main", connection = Postgres; things);

type Main = Db<Postgres, Name<'m', 'a', 'i', 'n'>>;

/// The second statement reaches the server although the answer to the first one never reached the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_statements_are_sent_before_the_first_is_answered() {
    let server = support::postgres();
    let url = server.database("pipeline");
    let proxy = Proxy::before(server.port()).await;
    let registry =
        Registry::builder().bind("main", proxy.url(&url)).build().expect("good settings");
    let mut outside = Postgres::establish(&url).await.expect("it is up");
    let create = "CREATE TABLE things (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    outside.batch_execute(create).await.expect("an empty database");
    let session = registry.session::<Main>().await.expect("a session");
    let insert = |id: i32| {
        diesel::insert_into(things::table)
            .values((things::id.eq(id), things::what.eq("new")))
            .execute(&session)
    };
    let count = || things::table.count().get_result::<i64>(&session);
    // Prepares both statements, since a statement is sent once it is prepared.
    assert_eq!((insert(1).await, count().await), (Ok(1), Ok(1)));
    let gate = proxy.hold_answers();
    let ten = try_join_all((2..=11).map(insert));
    let all_arrived = async {
        while things::table.count().get_result::<i64>(&mut outside).await? < 11 {
            tokio::task::yield_now().await;
        }
        drop(gate);
        QueryResult::Ok(())
    };
    let (inserted, counted, ()) =
        soon(async { try_join!(ten, count(), all_arrived) }).await.expect("they all are sent");
    assert_eq!(inserted, [1; 10]);
    assert_eq!(counted, 11);
}
