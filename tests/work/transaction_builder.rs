//! Transactions of a session with options, which each database has in its own way.

use std::fmt::Debug;

use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::result::Error::{AlreadyInTransaction, DatabaseError, RollbackTransaction};
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};
use diesel_async::SimpleAsyncConnection;
use registry_core::{
    Backend, Bind, Db, Mysql, Name, Postgres, Registry, RunQueryDsl, Session, Sqlite,
};

use crate::innodb;
use crate::support;
use crate::support::proxy::soon;

diesel::table! { things (id) { id -> Integer, } }

type Main<C> = Db<C, Name<'m', 'a', 'i', 'n'>>;

const CREATE: &str = "CREATE TABLE things (id INTEGER PRIMARY KEY)";

async fn registry<C: Backend>(url: &str) -> Registry {
    let registry = Registry::builder().bind("main", url).build().expect("good settings");
    let mut session = registry.session::<Main<C>>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    drop(session);
    registry
}

#[derive(Debug, QueryableByName)]
struct Modes {
    #[diesel(sql_type = Text)]
    isolation: String,
    #[diesel(sql_type = Bool)]
    is_read_only: bool,
    #[diesel(sql_type = Bool)]
    is_deferrable: bool,
}

type Seen = (String, bool, bool);

fn seen(isolation: &str, is_read_only: bool, is_deferrable: bool) -> Seen {
    (isolation.to_owned(), is_read_only, is_deferrable)
}

/// The modes of the open transaction, from the server.
async fn modes(session: &mut Session<Main<Postgres>>) -> QueryResult<Seen> {
    let sql = "SELECT current_setting('transaction_isolation') AS isolation, \
         current_setting('transaction_read_only')::bool AS is_read_only, \
         current_setting('transaction_deferrable')::bool AS is_deferrable";
    let modes: Modes = sql_query(sql).get_result(session).await?;
    Ok((modes.isolation, modes.is_read_only, modes.is_deferrable))
}

async fn insert<B: Bind<Connection = Postgres>>(
    session: &mut Session<B>,
    id: i32,
) -> QueryResult<usize> {
    diesel::insert_into(things::table).values(things::id.eq(id)).execute(&mut **session).await
}

async fn ids(session: &mut Session<Main<Postgres>>) -> Vec<i32> {
    things::table.select(things::id).order(things::id).load(&mut **session).await.expect("numbers")
}

/// By TCP, where the engine reads the protocol stream, and by a Unix socket, where it does not.
fn both_ways() -> [String; 2] {
    let server = support::postgres();
    [server.database("tcp"), server.by_socket(&server.database("socket"))]
}

#[tokio::test]
async fn postgres_takes_every_option() {
    for url in both_ways() {
        let registry = registry::<Postgres>(&url).await;
        let session = &mut registry.session::<Main<Postgres>>().await.expect("a session");
        let plain = session.build_transaction().run(modes).await;
        assert_eq!(plain, Ok(seen("read committed", false, false)));
        let all = session.build_transaction().read_only().serializable().deferrable().run(modes);
        assert_eq!(all.await, Ok(seen("serializable", true, true)));
        let repeatable = session.build_transaction().repeatable_read().run(modes).await;
        assert_eq!(repeatable, Ok(seen("repeatable read", false, false)));
        // The defaults of the session, and away from them.
        session
            .batch_execute(
                "SET default_transaction_isolation = 'serializable'; \
                 SET default_transaction_read_only = on; SET default_transaction_deferrable = on",
            )
            .await
            .expect("defaults");
        let defaults = session.build_transaction().run(modes).await;
        assert_eq!(defaults, Ok(seen("serializable", true, true)));
        let others =
            session.build_transaction().read_committed().read_write().not_deferrable().run(modes);
        assert_eq!(others.await, Ok(seen("read committed", false, false)));
    }
}

#[tokio::test]
async fn transaction_with_options_is_committed_or_rolled_back() {
    for url in both_ways() {
        let registry = registry::<Postgres>(&url).await;
        let mut session = registry.session::<Main<Postgres>>().await.expect("a session");
        let stored = session
            .build_transaction()
            .serializable()
            .run(async |session| insert(session, 1).await)
            .await;
        assert_eq!(stored, Ok(1));
        let refused = session
            .build_transaction()
            .run(async |session| {
                insert(session, 2).await?;
                Err::<(), _>(RollbackTransaction)
            })
            .await;
        assert_eq!(refused, Err(RollbackTransaction));
        let read_only = session
            .build_transaction()
            .read_only()
            .run(async |session| insert(session, 3).await)
            .await
            .expect_err("it is read-only");
        assert!(is_of_kind(&read_only, &DatabaseErrorKind::ReadOnlyTransaction), "{read_only:?}");
        // The error of a statement aborts the transaction, though the program ignores it.
        let aborted = session
            .build_transaction()
            .repeatable_read()
            .run(async |session| {
                insert(session, 4).await?;
                let _ = insert(session, 1).await.expect_err("it is there");
                QueryResult::Ok(())
            })
            .await
            .expect_err("nothing is stored");
        assert!(aborted.to_string().contains("current transaction is aborted"), "{aborted}");
        // A statement has ended the transaction.
        let ended = session
            .build_transaction()
            .serializable()
            .run(async |session| {
                insert(session, 5).await?;
                session.batch_execute("COMMIT").await
            })
            .await
            .expect_err("the program is told");
        assert!(ended.to_string().contains("has ended the transaction"), "{ended}");
        assert_eq!(ids(&mut session).await, [1, 5]);
    }
}

fn is_of_kind(error: &diesel::result::Error, wanted: &DatabaseErrorKind) -> bool {
    matches!(error, DatabaseError(kind, _) if format!("{kind:?}") == format!("{wanted:?}"))
}

#[tokio::test]
async fn write_skew_is_a_serialization_failure() {
    let url = support::postgres().database("skew");
    let registry = registry::<Postgres>(&url).await;
    let one = &mut registry.session::<Main<Postgres>>().await.expect("a session");
    let other = &mut registry.session::<Main<Postgres>>().await.expect("a session");
    let outcome = one
        .build_transaction()
        .serializable()
        .run(async |one| {
            let count = ids(one).await.len();
            let concurrent = other
                .build_transaction()
                .serializable()
                .run(async |other| {
                    assert_eq!(ids(other).await.len(), count);
                    insert(other, 1).await
                })
                .await;
            assert_eq!(concurrent, Ok(1));
            insert(one, 2).await
        })
        .await
        .expect_err("one of two");
    assert!(is_of_kind(&outcome, &DatabaseErrorKind::SerializationFailure), "{outcome:?}");
    assert_eq!(ids(one).await, [1]);
}

#[tokio::test]
async fn options_inside_another_transaction_are_refused_before_anything_is_sent() {
    for url in both_ways() {
        let registry = registry::<Postgres>(&url).await;
        let mut session = registry.session::<Main<Postgres>>().await.expect("a session");
        session
            .transaction(async |session| {
                insert(session, 1).await?;
                let refused = session
                    .build_transaction()
                    .read_only()
                    .run(async |session| insert(session, 2).await)
                    .await;
                assert_eq!(refused, Err(AlreadyInTransaction));
                insert(session, 3).await
            })
            .await
            .expect("the outer transaction is as it was");
        assert_eq!(ids(&mut session).await, [1, 3]);
    }
}

/// PostgreSQL would set the options of the open transaction and then commit it, and MySQL would commit it first.
#[tokio::test]
async fn transaction_begun_by_the_program_itself_is_left_as_it_was() {
    const INSERT: &str = "INSERT INTO things VALUES (1)";

    for url in both_ways() {
        let registry = registry::<Postgres>(&url).await;
        let session = &mut registry.session::<Main<Postgres>>().await.expect("a session");
        session.batch_execute("BEGIN").await.expect("a transaction");
        session.batch_execute(INSERT).await.expect("a row");
        let build = session.build_transaction().read_only();
        assert_eq!(
            build.run(async |session| insert(session, 2).await).await,
            Err(AlreadyInTransaction)
        );
        session.batch_execute("ROLLBACK").await.expect("it is open");
        assert!(ids(session).await.is_empty());
        let build = session.build_transaction().serializable();
        assert_eq!(build.run(async |session| insert(session, 2).await).await, Ok(1));
    }

    let mysql = registry::<Mysql>(&support::mariadb().database("own")).await;
    let session = &mut mysql.session::<Main<Mysql>>().await.expect("a session");
    session.batch_execute("BEGIN").await.expect("a transaction");
    session.batch_execute(INSERT).await.expect("a row");
    let build = session.build_transaction().serializable();
    let refused = build.run(async |session| session.batch_execute("SELECT 1").await).await;
    assert_eq!(refused, Err(AlreadyInTransaction));
    session.batch_execute("ROLLBACK").await.expect("it is open");
    let count = things::table.count().get_result::<i64>(&mut **session).await;
    assert_eq!(count, Ok(0));
    let build = session.build_transaction().serializable();
    assert_eq!(build.run(async |session| session.batch_execute(INSERT).await).await, Ok(()));

    let sqlite = registry::<Sqlite>(&support::sqlite_file()).await;
    let session = &mut sqlite.session::<Main<Sqlite>>().await.expect("a session");
    session.batch_execute("BEGIN").await.expect("a transaction");
    session.batch_execute(INSERT).await.expect("a row");
    let build = session.build_transaction().immediate();
    let refused = build.run(async |session| session.batch_execute("SELECT 1").await).await;
    assert_eq!(refused, Err(AlreadyInTransaction));
    session.batch_execute("ROLLBACK").await.expect("it is open");
    let count = things::table.count().get_result::<i64>(&mut **session).await;
    assert_eq!(count, Ok(0));
}

#[tokio::test]
async fn in_test_isolation_it_is_a_savepoint() {
    let url = support::postgres().database("isolated");
    let registry = registry::<Postgres>(&url).await.test_isolation().await.expect("isolation");
    let mut session = registry.session::<Main<Postgres>>().await.expect("a session");
    let build = session.build_transaction().serializable();
    assert_eq!(build.run(async |session| insert(session, 1).await).await, Ok(1));
    let rolled_back = session
        .build_transaction()
        .run(async |session| {
            insert(session, 2).await?;
            Err::<(), _>(RollbackTransaction)
        })
        .await;
    assert_eq!(rolled_back, Err(RollbackTransaction));
    assert_eq!(ids(&mut session).await, [1]);
}

/// Waits until InnoDB lists the open transaction with these modes.
async fn has_modes(session: &mut Session<Main<Mysql>>, expected: Seen) -> QueryResult<()> {
    // InnoDB lists a transaction that has read something.
    session.batch_execute("SELECT * FROM things LOCK IN SHARE MODE").await?;
    let sql = "SELECT LOWER(trx_isolation_level) AS isolation, \
         trx_is_read_only <> 0 AS is_read_only, FALSE AS is_deferrable \
         FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID()";
    let listed = async {
        loop {
            let read = sql_query(sql).get_result(&mut *session);
            let modes: Option<Modes> = innodb::list(read).await.optional()?;
            if modes.is_some_and(|modes| {
                (modes.isolation, modes.is_read_only, modes.is_deferrable) == expected
            }) {
                return Ok(());
            }
        }
    };
    soon(listed).await
}

#[tokio::test]
async fn mariadb_takes_isolation_and_access() {
    let registry = registry::<Mysql>(&support::mariadb().database("modes")).await;
    let session = &mut registry.session::<Main<Mysql>>().await.expect("a session");
    let in_modes = |isolation, is_read_only| {
        async move |session: &mut Session<Main<Mysql>>| {
            has_modes(session, seen(isolation, is_read_only, false)).await
        }
    };
    let plain = session.build_transaction().run(in_modes("repeatable read", false)).await;
    assert_eq!(plain, Ok(()));
    let build = session.build_transaction().read_committed();
    assert_eq!(build.run(in_modes("read committed", false)).await, Ok(()));
    let build = session.build_transaction().serializable().read_only();
    assert_eq!(build.run(in_modes("serializable", true)).await, Ok(()));
    // The modes were those of one transaction.
    let build = session.build_transaction().read_write();
    assert_eq!(build.run(in_modes("repeatable read", false)).await, Ok(()));
    let refused = session
        .build_transaction()
        .read_only()
        .run(async |session| session.batch_execute("INSERT INTO things VALUES (1)").await)
        .await;
    assert!(refused.is_err());
    let ended = session
        .build_transaction()
        .read_committed()
        .run(async |session| {
            session.batch_execute("INSERT INTO things VALUES (2)").await?;
            session.batch_execute("CREATE TABLE more (id INTEGER)").await
        })
        .await
        .expect_err("a CREATE TABLE commits");
    assert!(ended.to_string().contains("has ended the transaction"), "{ended}");
}

#[tokio::test]
async fn sqlite_locks_at_the_beginning() {
    let registry = registry::<Sqlite>(&support::sqlite_file()).await;
    let session = &mut registry.session::<Main<Sqlite>>().await.expect("a session");
    let other = &mut registry.session::<Main<Sqlite>>().await.expect("a session");
    other.batch_execute("PRAGMA busy_timeout = 0").await.expect("a pragma");
    // Without an option, the lock is taken by the first write.
    session
        .build_transaction()
        .run(async |_| other.batch_execute("BEGIN IMMEDIATE; ROLLBACK").await)
        .await
        .expect("nobody writes");
    let immediate = session
        .build_transaction()
        .immediate()
        .run(async |session| {
            assert_locked(other.batch_execute("BEGIN IMMEDIATE").await);
            session.batch_execute("INSERT INTO things VALUES (1)").await
        })
        .await;
    assert_eq!(immediate, Ok(()));
    let exclusive = session
        .build_transaction()
        .exclusive()
        .run(async |session| {
            assert_locked(other.batch_execute("BEGIN IMMEDIATE").await);
            session.batch_execute("INSERT INTO things VALUES (2)").await?;
            Err::<(), _>(RollbackTransaction)
        })
        .await;
    assert_eq!(exclusive, Err(RollbackTransaction));
    let count = things::table.count().get_result::<i64>(&mut **session).await;
    assert_eq!(count, Ok(1));
}

fn assert_locked(outcome: QueryResult<impl Debug>) {
    let error = outcome.expect_err("the database is locked");
    assert_eq!(error.to_string(), "database is locked");
}
