//! Transactions: Diesel's view of them agrees with the state of SQLite.

use std::time::Duration;

use diesel::Connection as _;
use diesel::connection::{SimpleConnection, TransactionManager};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_query;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use registry_core::Sqlite;
use registry_core::settings::BindSettings;

use crate::support::sqlite_file;
use crate::{in_memory, number, on_both_runtimes, registry, session};

on_both_runtimes!(
    transactions_nest,
    test_transaction_stays_open_in_the_pool,
    immediate_transaction_locks_at_begin,
    exclusive_transaction_blocks_readers,
    transaction_whose_commit_fails_is_rolled_back,
    transaction_ended_by_sqlite_is_over,
    raw_begin_never_reaches_the_next_borrower,
    transactions_in_spawn_blocking_nest_in_the_outer_one,
    transaction_left_open_by_spawn_blocking_is_noticed,
);

const COUNT: &str = "SELECT count(*) AS value FROM t";

async fn with_table() -> Sqlite {
    let mut connection = in_memory().await;
    connection.batch_execute("CREATE TABLE t (value INTEGER UNIQUE)").await.expect("a table");
    connection
}

async fn insert(connection: &mut Sqlite, value: i32) -> Result<(), Error> {
    connection.batch_execute(&format!("INSERT INTO t VALUES ({value})")).await
}

/// Inserts a row in a transaction. Whether it was committed.
async fn commits(connection: &mut Sqlite, value: i32) -> bool {
    let before = number(connection, COUNT).await;
    connection
        .transaction::<_, Error, _>(async |connection| insert(connection, value).await)
        .await
        .expect("a transaction");
    connection.batch_execute("ROLLBACK").await.expect_err("none is open");
    number(connection, COUNT).await == before + 1
}

async fn transactions_nest() {
    let mut connection = with_table().await;
    connection
        .transaction::<_, Error, _>(async |connection| {
            insert(connection, 1).await?;
            let inner = connection.transaction::<(), Error, _>(async |connection| {
                insert(connection, 2).await?;
                Err(Error::RollbackTransaction)
            });
            assert_eq!(inner.await, Err(Error::RollbackTransaction));
            connection.transaction(async |connection| insert(connection, 3).await).await
        })
        .await
        .expect("committed");
    assert_eq!(number(&mut connection, "SELECT sum(value) AS value FROM t").await, 4);
    let outer = connection.transaction::<(), Error, _>(async |connection| {
        connection.transaction(async |connection| insert(connection, 5).await).await?;
        Err(Error::RollbackTransaction)
    });
    assert_eq!(outer.await, Err(Error::RollbackTransaction));
    assert_eq!(number(&mut connection, COUNT).await, 2);
    assert!(commits(&mut connection, 6).await);
}

async fn test_transaction_stays_open_in_the_pool() {
    let url = sqlite_file();
    let registry = registry(BindSettings::new(url.as_str()).max_connections(1));
    let mut lent = session(&registry).await;
    lent.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    lent.begin_test_transaction().await.expect("a transaction");
    insert(&mut lent, 1).await.expect("a row");
    drop(lent);
    let mut lent = session(&registry).await;
    assert_eq!(number(&mut lent, COUNT).await, 1);
    let nested = lent.transaction::<_, Error, _>(async |lent| insert(lent, 2).await);
    nested.await.expect("a savepoint");
    drop(lent);
    assert_eq!(number(&mut *session(&registry).await, COUNT).await, 2);
    let other = crate::registry(url);
    assert_eq!(number(&mut *session(&other).await, COUNT).await, 0, "it is never committed");

    let mut connection = with_table().await;
    let value = connection
        .test_transaction::<_, Error, _>(async |connection| {
            insert(connection, 1).await?;
            Ok(number(connection, COUNT).await)
        })
        .await;
    assert_eq!((value, number(&mut connection, COUNT).await), (1, 0));
}

async fn immediate_transaction_locks_at_begin() {
    let url = sqlite_file();
    let registry = registry(BindSettings::new(url).busy_timeout(Duration::from_millis(1)));
    let (mut one, mut two) = (session(&registry).await, session(&registry).await);
    one.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    let outcome = one.immediate_transaction::<(), Error, _>(async |one| {
        let locked = two.immediate_transaction(async |two| insert(two, 1).await).await;
        assert_eq!(locked, two.exclusive_transaction(async |two| insert(two, 1).await).await);
        let locked = locked.expect_err("it is locked");
        assert_eq!(locked.to_string(), "database is locked");
        let nested = one.immediate_transaction(async |one| insert(one, 1).await).await;
        assert_eq!(nested, Err(Error::AlreadyInTransaction));
        insert(one, 2).await?;
        Err(Error::RollbackTransaction)
    });
    assert_eq!(outcome.await, Err(Error::RollbackTransaction));
    assert_eq!(number(&mut two, COUNT).await, 0);
    two.exclusive_transaction(async |two| insert(two, 3).await).await.expect("committed");
    assert_eq!(number(&mut one, COUNT).await, 1);
}

async fn exclusive_transaction_blocks_readers() {
    // With a rollback journal, as in WAL mode no transaction blocks readers.
    let path = crate::support::fresh_folder().join("exclusive.db");
    let path = path.to_str().expect("UTF-8");
    let mut one = Sqlite::establish(path).await.expect("a database");
    let mut two = Sqlite::establish(path).await.expect("the same");
    one.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    one.immediate_transaction::<_, Error, _>(async |_| two.batch_execute("SELECT * FROM t").await)
        .await
        .expect("it can be read");
    let error = one
        .exclusive_transaction::<_, Error, _>(async |_| two.batch_execute("SELECT * FROM t").await)
        .await
        .expect_err("it cannot");
    assert_eq!(error.to_string(), "database is locked");
}

async fn transaction_whose_commit_fails_is_rolled_back() {
    let mut connection = with_table().await;
    let children = "PRAGMA foreign_keys = ON; CREATE TABLE child (t INTEGER REFERENCES t (value) \
                    DEFERRABLE INITIALLY DEFERRED)";
    connection.batch_execute(children).await.expect("a table");
    let orphan = async |connection: &mut Sqlite| {
        insert(connection, 1).await?;
        connection.batch_execute("INSERT INTO child VALUES (99)").await
    };
    let error = connection.transaction::<_, Error, _>(orphan).await.expect_err("99 is nowhere");
    assert!(
        matches!(error, Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)),
        "{error:?}"
    );
    assert_eq!(number(&mut connection, COUNT).await, 0);
    assert!(commits(&mut connection, 2).await);
}

async fn transaction_ended_by_sqlite_is_over() {
    let mut connection = with_table().await;
    insert(&mut connection, 1).await.expect("a row");
    for _ in 0..2 {
        connection
            .transaction::<(), Error, _>(async |connection| {
                let again = "INSERT OR ROLLBACK INTO t VALUES (1)";
                sql_query(again).execute(connection).await.map(drop)
            })
            .await
            .expect_err("it is there");
    }
    assert!(commits(&mut connection, 2).await);
}

async fn raw_begin_never_reaches_the_next_borrower() {
    for url in [sqlite_file(), "sqlite::memory:".to_owned()] {
        let registry = registry(BindSettings::new(url).max_connections(1));
        let mut lent = session(&registry).await;
        lent.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
        let begins = ["BEGIN", "/* now */ begin", "SAVEPOINT mine"];
        for begin in begins {
            lent.batch_execute(begin).await.expect("a transaction");
            insert(&mut lent, 1).await.expect("a row");
            drop(lent);
            lent = session(&registry).await;
            assert_eq!(number(&mut lent, COUNT).await, 0, "{begin}");

            sql_query(begin).execute(&mut lent).await.expect("a transaction");
            let insert = sql_query("INSERT INTO t VALUES (1)").execute(&mut lent).await;
            insert.expect("a row");
            drop(lent);
            lent = session(&registry).await;
            assert_eq!(number(&mut lent, COUNT).await, 0, "{begin} by `sql_query`");
        }
        // A transaction that was ended again does not cost the connection.
        insert(&mut lent, 1).await.expect("a row");
        for end in ["COMMIT", "ROLLBACK"] {
            sql_query("BEGIN").execute(&mut lent).await.expect("a transaction");
            sql_query(end).execute(&mut lent).await.expect("its end");
        }
        drop(lent);
        lent = session(&registry).await;
        // The same connection: its counter of changes was kept.
        assert_eq!(number(&mut lent, "SELECT total_changes() > 0 AS value").await, 1);
    }
}

async fn transactions_in_spawn_blocking_nest_in_the_outer_one() {
    fn work(connection: &mut diesel::SqliteConnection) -> diesel::QueryResult<()> {
        let _ = connection.transaction::<(), _, _>(|connection| {
            connection.batch_execute("INSERT INTO t VALUES (1)")?;
            Err(Error::RollbackTransaction)
        });
        connection.transaction(|connection| connection.batch_execute("INSERT INTO t VALUES (2)"))
    }
    let mut connection = with_table().await;
    connection
        .transaction::<_, Error, _>(async |connection| {
            insert(connection, 4).await?;
            connection.spawn_blocking(work).await
        })
        .await
        .expect("committed");
    assert_eq!(number(&mut connection, "SELECT sum(value) AS value FROM t").await, 6);
    assert!(commits(&mut connection, 8).await);
    // A test transaction stays a test transaction.
    connection.begin_test_transaction().await.expect("a transaction");
    connection.spawn_blocking(|_| Ok(())).await.expect("nothing");
    assert!(!is_broken(&mut connection));
}

async fn transaction_left_open_by_spawn_blocking_is_noticed() {
    let mut connection = with_table().await;
    connection
        .spawn_blocking(diesel::connection::AnsiTransactionManager::begin_transaction)
        .await
        .expect("a transaction");
    assert!(is_broken(&mut connection), "a pool would lend it no more");
    insert(&mut connection, 1).await.expect("a row");
    roll_back(&mut connection).await.expect("it is open");
    assert_eq!(number(&mut connection, COUNT).await, 0);
    assert!(!is_broken(&mut connection));
}

async fn roll_back(connection: &mut Sqlite) -> Result<(), Error> {
    use diesel_async::TransactionManager;
    diesel_async::AnsiTransactionManager::rollback_transaction(connection).await
}

fn is_broken(connection: &mut Sqlite) -> bool {
    use diesel_async::TransactionManager;
    diesel_async::AnsiTransactionManager::is_broken_transaction_manager(connection)
}
