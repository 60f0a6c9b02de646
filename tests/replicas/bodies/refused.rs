//! Writes that a program claims to be reads: the server refuses them, on a replica and on the primary.

use std::time::Duration;

use diesel::sql_query;
use diesel_async::SimpleAsyncConnection;
use registry_core::{BindDsl, Reader, Role, RunQueryDsl};

use super::rig::{Main, Rig, pairs, read};
use crate::support::causes;

async fn assert_refused(reader: &Reader, role: Role) {
    let insert = || sql_query("INSERT INTO pairs VALUES (1)").reads::<pairs::table>();
    let is_read_only = |error: &str| error.to_lowercase().replace('-', " ").contains("read only");
    let mut session = reader.session::<Main>().await.expect("a session");
    assert_eq!(session.role(), role);
    let error = insert().execute(&mut session).await.expect_err("it writes").to_string();
    assert!(is_read_only(&error), "{role}: {error}");
    drop(session);
    let error = insert().execute(reader).await.expect_err("it writes");
    let error = causes(&error).join(": ");
    assert!(is_read_only(&error), "{role}: {error}");
    assert_eq!(read(reader, 1).await.expect("a row").found, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_refuses_what_a_reader_writes_on_a_replica_and_on_the_primary() {
    let rig = Rig::new(1).await;
    assert_refused(&rig.reader(), Role::Replica).await;
    rig.pause_all();
    rig.write(0).await;
    let reader = rig.reader().max_lag(Duration::from_millis(50));
    rig.reads_come_from(&reader, &[0]).await;
    assert_refused(&reader, Role::Primary).await;
    // The sessions that write are others.
    let mut session = rig.registry.session::<Main>().await.expect("a session");
    session.batch_execute("INSERT INTO pairs VALUES (1)").await.expect("the primary takes it");
}
