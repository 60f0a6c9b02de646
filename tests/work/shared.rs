//! Several queries at once in a unit of work, on PostgreSQL.

use diesel::prelude::*;
use diesel::sql_query;
use diesel_async::SimpleAsyncConnection;
use futures_util::poll;
use registry_core::{
    Db, Error, Name, Postgres, Registry, RunQueryDsl, Session, WorkError, bind_tables,
};
use tokio::{join, try_join};

use crate::support;

diesel::table! { things (id) { id -> Integer, } }
bind_tables!(db = "main", connection = Postgres; things);

type Main = Db<Postgres, Name<'m', 'a', 'i', 'n'>>;

/// By TCP, where the engine reads the protocol stream, and by a Unix socket, where it does not.
async fn both_ways() -> [Registry; 2] {
    let server = support::postgres();
    let urls = [server.database("tcp"), server.by_socket(&server.database("socket"))];
    let registries = urls.map(|url| Registry::builder().bind("main", url).build().expect("good"));
    for registry in &registries {
        let mut session = registry.session::<Main>().await.expect("a session");
        let create = "CREATE TABLE things (id INTEGER PRIMARY KEY)";
        session.batch_execute(create).await.expect("an empty database");
    }
    registries
}

async fn count(registry: &Registry) -> i64 {
    things::table.count().get_result(registry).await.expect("a count")
}

async fn insert(id: i32, session: &Session<Main>) -> QueryResult<usize> {
    diesel::insert_into(things::table).values(things::id.eq(id)).execute(session).await
}

#[tokio::test]
async fn queries_at_once_are_part_of_the_unit_of_work() -> Result<(), Error> {
    for registry in both_ways().await {
        let mut work = registry.begin();
        let session = work.share::<Main>().await?;
        try_join!(insert(1, session), insert(2, session))?;
        let seen = things::table.count().get_result::<i64>(session).await?;
        assert_eq!((seen, count(&registry).await), (2, 0));
        assert!(work.touched().eq(["main"]));
        assert_eq!(things::table.count().get_result::<i64>(&mut work).await?, 2);
        work.rollback().await?;
        assert_eq!(count(&registry).await, 0);
        let mut work = registry.begin();
        let session = work.share::<Main>().await?;
        try_join!(insert(1, session), insert(2, session))?;
        work.commit().await?;
        assert_eq!(count(&registry).await, 2);
    }
    Ok(())
}

#[tokio::test]
async fn error_of_one_query_refuses_the_commit() -> Result<(), Error> {
    for registry in both_ways().await {
        let mut work = registry.begin();
        let session = work.share::<Main>().await?;
        let (one, again, two) = join!(insert(1, session), insert(1, session), insert(2, session));
        assert!(one.is_ok() && again.is_err() && two.is_err());
        let error = work.commit().await.expect_err("the transaction is aborted");
        assert!(!error.is_transient(), "{error:?}");
        assert_eq!(count(&registry).await, 0);
    }
    Ok(())
}

#[tokio::test]
async fn transaction_that_a_query_has_ended_is_noticed() -> Result<(), Error> {
    for registry in both_ways().await {
        let mut work = registry.begin();
        let session = work.share::<Main>().await?;
        insert(1, session).await?;
        let commit = sql_query("COMMIT").execute(session);
        let (committed, _) = join!(commit, insert(2, session));
        committed?;
        let again = work.share::<Main>().await.map(drop);
        assert!(matches!(again, Err(WorkError::Ended { .. })), "{again:?}");
        work.commit().await.expect_err("it has ended");
    }
    Ok(())
}

#[tokio::test]
async fn query_that_was_cut_short_is_noticed() -> Result<(), Error> {
    for registry in both_ways().await {
        let mut work = registry.begin();
        {
            let session = work.share::<Main>().await?;
            let mut slow = Box::pin(sql_query("SELECT pg_sleep(60)").execute(session));
            assert!(poll!(&mut slow).is_pending());
        }
        let again = work.share::<Main>().await.map(drop);
        assert!(matches!(again, Err(WorkError::CutShort { .. })), "{again:?}");
        work.commit().await.expect_err("nobody knows what has happened");
    }
    Ok(())
}
