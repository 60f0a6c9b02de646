//! Reads of a scope after what it has written on connections that are older than the scope.

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::{Registry, RunQueryDsl, Scope, Session};

use super::rig::{Main, Rig, Seen, pairs, read};

/// A rig whose only replica has stopped, and is read from unless a write is known.
async fn stopped() -> Rig {
    let rig = Rig::with(1, |bind| bind.max_lag(None).max_connections(4)).await;
    rig.pause_all();
    rig
}

impl Rig {
    fn on_primary(&self) -> Seen {
        Seen { port: self.real_port(0), found: 1 }
    }

    fn on_replica(&self) -> Seen {
        Seen { port: self.real_port(1), found: 0 }
    }

    async fn row(&self, id: i64) -> Seen {
        read(&self.reader(), id).await.expect("a server answers")
    }

    async fn session(&self) -> Session<Main> {
        self.registry.session::<Main>().await.expect("a session")
    }
}

async fn insert(session: &mut Session<Main>, id: i64) {
    let insert = diesel::insert_into(pairs::table).values(pairs::id.eq(id));
    insert.execute(session).await.expect("the primary takes it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_reads_what_it_has_written_on_an_older_session() {
    let rig = stopped().await;
    let mut session = rig.session().await;
    insert(&mut session, 1).await;
    rig.registry
        .scope(async {
            assert_eq!(rig.row(1).await, rig.on_replica(), "not a write of this scope");
            let select = pairs::table.select(pairs::id).load::<i64>(&mut session);
            assert_eq!(select.await.expect("rows"), [1]);
            assert_eq!(rig.row(1).await, rig.on_replica(), "a read is no write");
            insert(&mut session, 2).await;
            assert_eq!(rig.row(2).await, rig.on_primary());
            // By the methods of the driver.
            session.batch_execute("INSERT INTO pairs VALUES (3)").await.expect("a row");
            assert_eq!(rig.row(3).await, rig.on_primary());
            let token = Scope::current().expect("a scope").token().await;
            let after = read(&rig.reader().after(&token), 3).await.expect("a row");
            assert_eq!(after, rig.on_primary());
        })
        .await;
    let row = rig.registry.scope(rig.row(3)).await;
    assert_eq!(row, rig.on_replica(), "another scope has written nothing");
    // What another task writes on the session is not of this scope.
    let other = tokio::spawn(async move {
        insert(&mut session, 4).await;
        session
    });
    rig.registry
        .scope(async {
            let mut session = other.await.expect("no panic");
            assert_eq!(rig.row(4).await, rig.on_replica());
            insert(&mut session, 5).await;
            drop(session);
            assert_eq!(rig.row(5).await, rig.on_primary());
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_reads_what_a_unit_of_work_from_before_it_has_written() {
    let rig = stopped().await;
    let insert = |id: i64| diesel::insert_into(pairs::table).values(pairs::id.eq(id));
    let mut written = rig.registry.begin();
    insert(1).execute(&mut written).await.expect("the primary takes it");
    let mut unused = rig.registry.begin();
    let mut begun = rig.registry.begin();
    let none = pairs::table.select(pairs::id).load::<i64>(&mut begun).await.expect("rows");
    assert_eq!(none.len(), 0);
    rig.registry
        .scope(async {
            written.commit().await.expect("the primary takes it");
            assert_eq!(rig.row(1).await, rig.on_primary(), "the commit is the write");
        })
        .await;
    rig.registry
        .scope(async {
            insert(2).execute(&mut begun).await.expect("the primary takes it");
            assert_eq!(rig.row(2).await.found, 0, "not committed yet");
            begun.commit().await.expect("the primary takes it");
            assert_eq!(rig.row(2).await, rig.on_primary());
        })
        .await;
    rig.registry
        .scope(async {
            insert(3).execute(&mut unused).await.expect("the primary takes it");
            unused.commit().await.expect("the primary takes it");
            assert_eq!(rig.row(3).await, rig.on_primary());
        })
        .await;
    // A unit of work that another task commits is not of this scope.
    let mut elsewhere = rig.registry.begin();
    insert(4).execute(&mut elsewhere).await.expect("the primary takes it");
    let elsewhere = tokio::spawn(elsewhere.commit());
    rig.registry
        .scope(async {
            elsewhere.await.expect("no panic").expect("the primary takes it");
            assert_eq!(rig.row(4).await, rig.on_replica());
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transaction_of_a_session_that_is_committed_in_a_scope_is_a_write_of_it() {
    let rig = stopped().await;
    let mut session = rig.session().await;
    session.batch_execute("BEGIN; INSERT INTO pairs VALUES (1)").await.expect("a row");
    rig.registry
        .scope(async {
            assert_eq!(rig.row(1).await, rig.on_replica());
            session.batch_execute("COMMIT").await.expect("a commit");
            assert_eq!(rig.row(1).await, rig.on_primary());
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_reads_what_a_scope_inside_of_it_has_written_on_an_older_session() {
    let rig = stopped().await;
    let mut session = rig.session().await;
    let other = Registry::builder().bind("default", "sqlite::memory:").build().expect("settings");
    rig.registry
        .scope(async {
            rig.registry.scope(insert(&mut session, 1)).await;
            assert_eq!(rig.row(1).await, rig.on_primary());
        })
        .await;
    rig.registry
        .scope(async {
            // A scope of another registry has no part in it.
            other.scope(insert(&mut session, 2)).await;
            assert_eq!(rig.row(2).await, rig.on_primary());
        })
        .await;
}

/// An instrumentation of the program, which replaces that of the registry.
struct Unseen;

impl Instrumentation for Unseen {
    fn on_connection_event(&mut self, _: InstrumentationEvent<'_>) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_cannot_be_seen_count_as_writes() {
    let rig = stopped().await;
    let mut session = rig.session().await;
    session.set_instrumentation(Unseen);
    rig.registry
        .scope(async {
            assert_eq!(rig.row(1).await, rig.on_replica(), "it is not used in this scope");
            for id in 1..=2 {
                insert(&mut session, id).await;
                assert_eq!(rig.row(id).await, rig.on_primary());
            }
        })
        .await;
    drop(session);
    let mut session = rig.session().await;
    rig.registry
        .scope(async {
            let connection = &mut *session;
            connection.set_instrumentation(Unseen);
            for id in 3..=4 {
                let insert = format!("INSERT INTO pairs VALUES ({id})");
                connection.batch_execute(&insert).await.expect("a row");
                assert_eq!(rig.row(id).await, rig.on_primary());
            }
            drop(session);
            assert_eq!(rig.row(4).await, rig.on_primary());
        })
        .await;
}
