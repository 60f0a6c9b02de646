//! Scopes that share a session, which runs several statements at once.

use std::pin::pin;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::poll;
use registry_core::{Registry, RunQueryDsl, Session};
use tokio::join;

use crate::postgres::rig::{Main, Rig, pairs, read};

async fn insert(session: &Session<Main>, id: i64) {
    let insert = diesel::insert_into(pairs::table).values(pairs::id.eq(id));
    insert.execute(session).await.expect("the primary takes it");
}

/// As [`insert`], once the [`Gate`] is open.
async fn insert_behind_gate(session: &Session<Main>, id: i64) {
    let gate = "(SELECT pg_advisory_xact_lock(7)) gate";
    let insert = diesel::sql_query(format!("INSERT INTO pairs SELECT {id} FROM {gate}"));
    insert.execute(session).await.expect("the primary takes it");
}

/// A lock that statements wait for, so that they do not end before the test wants them to.
struct Gate(Session<Main>);

impl Gate {
    async fn closed(registry: &Registry) -> Self {
        let mut session = registry.session::<Main>().await.expect("a session");
        session.batch_execute("SELECT pg_advisory_lock(7)").await.expect("a lock");
        Self(session)
    }

    async fn open(mut self) {
        self.0.batch_execute("SELECT pg_advisory_unlock(7)").await.expect("it was locked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scope_reads_what_it_has_written_on_a_shared_session() {
    let rig = Rig::with(1, |bind| bind.max_lag(None)).await;
    rig.pause_all();
    let (registry, reader) = (&rig.registry, rig.reader());
    let session = registry.session::<Main>().await.expect("a session");
    let found = async |id| read(&reader, id).await.expect("a server answers").found;
    let write_and_read = async |id| {
        join!(insert(&session, id), insert(&session, id + 10));
        (found(id).await, found(id + 10).await)
    };
    let (one, two, none) = join!(
        registry.scope(write_and_read(1)),
        registry.scope(write_and_read(2)),
        registry.scope(async {
            let ids = pairs::table.select(pairs::id).filter(pairs::id.eq(0)).load::<i64>(&session);
            assert_eq!(ids.await.expect("rows").len(), 0);
            found(0).await
        }),
    );
    assert_eq!((one, two, none), ((1, 1), (1, 1), 0));

    // Begun outside of the scope, and ended in it.
    let gate = Gate::closed(registry).await;
    let mut begun = pin!(insert_behind_gate(&session, 3));
    assert!(poll!(&mut begun).is_pending());
    gate.open().await;
    registry
        .scope(async {
            begun.await;
            assert_eq!(found(3).await, 1);
        })
        .await;
}
