//! Several statements at once on one session of PostgreSQL. Mounted for TCP and for Unix sockets, since the engine reads the
//! protocol stream of one and not of the other.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Integer, Text};
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use futures_util::future::{join_all, try_join_all};
use futures_util::{FutureExt, StreamExt, TryStreamExt, poll};
use registry_core::query::HiddenTable;
use registry_core::settings::BindSettings;
use registry_core::{Db, Error, Name, Postgres, Registry, RunQueryDsl, Session, bind_tables};
use tokio::{join, try_join};

use super::{READS_STREAM, database};
use crate::support::mood::{CREATE_MOOD, Mood, MoodType};
use crate::support::proxy::soon;

diesel::table! { things (id) { id -> Integer, what -> Text, } }
diesel::table! { others (id) { id -> Integer, what -> Text, } }
bind_tables!(db = "main", connection = Postgres; things);
bind_tables!(db = "other", connection = Postgres; others);

type Main = Db<Postgres, Name<'m', 'a', 'i', 'n'>>;

const CREATE: &str = "CREATE TABLE things (id INTEGER PRIMARY KEY, what TEXT NOT NULL); \
     INSERT INTO things SELECT n, 'thing ' || n FROM generate_series(1, 10) n";

/// A registry with one connection, and a connection outside of it.
async fn rig() -> (Registry, Postgres) {
    let url = database();
    let bind = BindSettings::new(url.as_str()).max_connections(1);
    let registry = Registry::builder().bind("main", bind).build().expect("good settings");
    let mut outside = Postgres::establish(&url).await.expect("it is up");
    outside.batch_execute(CREATE).await.expect("an empty database");
    (registry, outside)
}

async fn session(registry: &Registry) -> Session<Main> {
    registry.session::<Main>().await.expect("a session")
}

/// A query of one row.
fn thing(id: i32) -> things::BoxedQuery<'static, diesel::pg::Pg, Text> {
    things::table.filter(things::id.eq(id)).select(things::what).into_boxed()
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    value: i32,
}

async fn number(on: &Session<Main>, sql: &str) -> QueryResult<i32> {
    sql_query(sql).get_result::<Number>(on).await.map(|number| number.value)
}

async fn pid(on: &Session<Main>) -> i32 {
    number(on, "SELECT pg_backend_pid() AS value").await.expect("its number")
}

async fn outside_number(outside: &mut Postgres, sql: &str) -> i32 {
    sql_query(sql).get_result::<Number>(outside).await.expect("a number").value
}

/// Waits until the query returns this number, on a connection of its own.
async fn until(outside: &mut Postgres, expected: i32, sql: &str) {
    soon(async {
        while outside_number(outside, sql).await != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn queries_at_once_each_get_their_own_answer() {
    let (registry, _) = rig().await;
    let session = &session(&registry).await;
    for _ in 0..3 {
        let all = (1..=10).map(|id| thing(id).get_result::<String>(session));
        let all = try_join_all(all).await.expect("ten answers");
        assert_eq!(all, (1..=10).map(|id| format!("thing {id}")).collect::<Vec<_>>());
    }
    let insert = diesel::insert_into(things::table)
        .values((things::id.eq(11), things::what.eq("thing 11")))
        .execute(session);
    let count = things::table.count().get_result::<i64>(session);
    let ids = things::table.select(things::id).order(things::id).limit(2).load::<i32>(session);
    let first = things::table.select(things::id).order(things::id.desc()).first::<i32>(session);
    let missing = thing(99).get_result::<String>(session).map(|missing| match missing {
        Err(diesel::NotFound) => Ok(()),
        other => panic!("{other:?}"),
    });
    let all = try_join!(insert, count, ids, first, missing).expect("five answers");
    assert_eq!(all, (1, 11, vec![1, 2], 11, ()));
    // As ported programs write it.
    let mut shared = session;
    let one = thing(1).get_result::<String>(&mut shared).await;
    assert_eq!(one.as_deref(), Ok("thing 1"));
    // A bare connection, as in diesel-async.
    let mut bare: &Postgres = session;
    let (one, two) =
        (thing(1).get_result::<String>(bare), thing(2).get_result::<String>(&mut bare));
    assert_eq!(try_join!(one, two), Ok(("thing 1".to_owned(), "thing 2".to_owned())));
    let two = diesel_async::RunQueryDsl::get_result::<String>(thing(2), &mut bare).await;
    assert_eq!(two.as_deref(), Ok("thing 2"));
}

#[tokio::test]
async fn connection_is_kept_after_a_pipeline() {
    let (registry, _) = rig().await;
    let first = session(&registry).await;
    let before = pid(&first).await;
    let all = (1..=10).map(|id| thing(id).get_result::<String>(&first));
    try_join_all(all).await.expect("ten answers");
    drop(first);
    assert_eq!(pid(&session(&registry).await).await, before);
}

#[tokio::test]
async fn table_of_another_bind_is_refused() {
    let (registry, _) = rig().await;
    let session = session(&registry).await;
    let hidden = others::table.filter(others::id.eq(1)).select(others::id).into_boxed();
    let query = things::table.select(things::id).filter(things::id.eq_any(hidden)).into_boxed();
    let (refused, one) =
        join!(query.load::<i32>(&session), thing(1).get_result::<String>(&session));
    let error = refused.expect_err("a table of another bind");
    let diesel::result::Error::QueryBuilderError(source) = &error else { panic!("{error:?}") };
    assert!(source.is::<HiddenTable>(), "{error}");
    assert_eq!(one.as_deref(), Ok("thing 1"));
}

/// The errors of all statements have arrived before the program looks at the first of them.
#[tokio::test]
async fn each_error_is_that_of_its_statement() {
    let (registry, mut outside) = rig().await;
    let session = session(&registry).await;
    outside.batch_execute("BEGIN; LOCK TABLE things IN SHARE MODE").await.expect("a lock");
    let missing = "INSERT INTO others VALUES (1)";
    let locked = "LOCK TABLE things IN EXCLUSIVE MODE NOWAIT";
    let locked = format!("DO $$ BEGIN {locked}; END $$");
    let fails = ["SELECT 1 / 0", &locked, missing, "SELECT 'x'::integer", &locked, "SELECT 2 / 0"];
    let mut futures: Vec<_> =
        fails.iter().map(|sql| Box::pin(sql_query(*sql).execute(&session))).collect();
    for future in &mut futures {
        assert!(poll!(future).is_pending());
    }
    let errors: Vec<Error> = join_all(futures)
        .await
        .into_iter()
        .map(|outcome| Error::from(outcome.expect_err("each fails")))
        .collect();
    let texts: Vec<String> = errors.iter().map(whole).collect();
    for (text, part) in texts.iter().zip([
        "division by zero",
        "could not obtain lock",
        "\"others\" does not exist",
        "invalid input syntax",
        "could not obtain lock",
        "division by zero",
    ]) {
        assert!(text.contains(part), "{texts:?}");
    }
    // Diesel does not pass on the code, so it is known only from the stream.
    let transient: Vec<bool> = errors.iter().map(Error::is_transient).collect();
    let known = READS_STREAM;
    assert_eq!(transient, [false, known, false, false, known, false]);
    outside.batch_execute("ROLLBACK").await.expect("no more locks");
    assert_eq!(thing(1).get_result::<String>(&session).await.as_deref(), Ok("thing 1"));
}

/// An error with all its causes.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}

/// The error of one statement does not hide the class of another one, however many statements fail after it.
#[tokio::test]
async fn error_that_aborted_a_transaction_is_known_among_its_many_successors() {
    let (registry, mut outside) = rig().await;
    outside.batch_execute("BEGIN; LOCK TABLE things IN SHARE MODE").await.expect("a lock");
    let mut session = session(&registry).await;
    let outcome = session
        .transaction(async |session| {
            let session = &*session;
            let locked = sql_query("LOCK TABLE things IN EXCLUSIVE MODE NOWAIT").execute(session);
            let others = (1..=40).map(|id| thing(id).get_result::<String>(session));
            let (locked, others) = join!(locked, join_all(others));
            assert!(others.iter().all(Result::is_err), "the transaction is aborted");
            locked
        })
        .await;
    let error = Error::from(outcome.expect_err("it is locked"));
    assert_eq!(error.is_transient(), READS_STREAM, "{error:?}");
}

#[tokio::test]
async fn dropped_statement_leaves_the_others_their_answers() {
    let (registry, mut outside) = rig().await;
    outside.batch_execute("SELECT pg_advisory_lock(1)").await.expect("a lock");
    let first = session(&registry).await;
    let before = pid(&first).await;
    let lock = "SELECT pg_advisory_xact_lock(1)";
    let one = thing(1).get_result::<String>(&first).await;
    {
        let mut waiting = Box::pin(sql_query(lock).execute(&first));
        let mut second = pin!(thing(2).get_result::<String>(&first));
        assert!(poll!(&mut waiting).is_pending());
        assert!(poll!(&mut second).is_pending());
        let waits = format!(
            "SELECT count(*)::integer AS value FROM pg_stat_activity \
             WHERE pid = {before} AND wait_event_type = 'Lock'"
        );
        // It is prepared first, and sent when it is polled again.
        soon(async {
            while outside_number(&mut outside, &waits).await != 1 {
                assert!(poll!(&mut waiting).is_pending());
                assert!(poll!(&mut second).is_pending());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        drop(waiting);
        // Nothing is cancelled while the session is in use.
        assert!(poll!(&mut second).is_pending());
        outside.batch_execute("SELECT pg_advisory_unlock(1)").await.expect("its lock");
        assert_eq!(soon(second).await.as_deref(), Ok("thing 2"));
    }
    assert_eq!(one.as_deref(), Ok("thing 1"));
    let all = (1..=10).map(|id| thing(id).get_result::<String>(&first));
    assert_eq!(try_join_all(all).await.expect("ten answers")[9], "thing 10");
    drop(first);
    let after = soon(async { pid(&session(&registry).await).await }).await;
    assert_ne!(after, before, "the connection of a statement that was cut short is not lent again");
}

#[tokio::test]
async fn dropped_statement_is_cancelled_on_the_server_with_its_session() {
    let (registry, mut outside) = rig().await;
    outside.batch_execute("SELECT pg_advisory_lock(1)").await.expect("a lock");
    let first = session(&registry).await;
    let before = pid(&first).await;
    {
        let mut waiting = Box::pin(sql_query("SELECT pg_advisory_lock(1)").execute(&first));
        let mut second = Box::pin(thing(2).get_result::<String>(&first));
        let waits = format!(
            "SELECT count(*)::integer AS value FROM pg_stat_activity \
             WHERE pid = {before} AND wait_event_type = 'Lock'"
        );
        soon(async {
            while outside_number(&mut outside, &waits).await != 1 {
                assert!(poll!(&mut waiting).is_pending());
                assert!(poll!(&mut second).is_pending());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
    drop(first);
    let open =
        format!("SELECT count(*)::integer AS value FROM pg_stat_activity WHERE pid = {before}");
    until(&mut outside, 0, &open).await;
}

/// The rows of a stream arrive before the answers to later statements, so it is read beside them.
#[tokio::test]
async fn stream_of_rows_is_read_beside_other_statements() {
    let (registry, _) = rig().await;
    let session = session(&registry).await;
    let rows = || sql_query("SELECT generate_series(1, 100000) AS value");
    let stream = async {
        let rows = rows().load_stream::<Number>(&session).await?;
        rows.try_fold(0_i64, async |sum, row| Ok(sum + i64::from(row.value))).await
    };
    let (sum, two) =
        soon(async { try_join!(stream, thing(2).get_result::<String>(&session)) }).await.unwrap();
    assert_eq!((sum, &*two), (5_000_050_000, "thing 2"));
    // Two streams at once.
    let sums = || async {
        let rows = rows().load_stream::<Number>(&session).await?;
        rows.try_fold(0_i64, async |sum, row| Ok(sum + i64::from(row.value))).await
    };
    let (one, other) = soon(async { try_join!(sums(), sums()) }).await.unwrap();
    assert_eq!((one, other), (5_000_050_000, 5_000_050_000));
}

/// A query that was sent, and whose answer was not there at once.
async fn under_way<F: Future>(query: impl Fn() -> F) -> Pin<Box<F>> {
    loop {
        let mut query = Box::pin(query());
        if poll!(&mut query).is_pending() {
            return query;
        }
    }
}

/// The end of an earlier statement, noticed late, says nothing of rows that were left after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_left_unread_are_not_forgotten_by_an_earlier_statement() {
    let (registry, mut outside) = rig().await;
    let first = session(&registry).await;
    let before = pid(&first).await;
    assert!(thing(1).get_result::<String>(&first).await.is_ok());
    {
        let early = under_way(|| thing(1).get_result::<String>(&first)).await;
        let stream = sql_query("SELECT generate_series(1, 50000000) AS value");
        let mut stream = Box::pin(stream.load_stream::<Number>(&first).await.expect("a stream"));
        assert_eq!(stream.next().await.expect("a row").expect("no error").value, 1);
        drop(stream);
        assert_eq!(early.await.as_deref(), Ok("thing 1"));
    }
    drop(first);
    let next = soon(async { pid(&session(&registry).await).await }).await;
    assert_ne!(next, before);
    let open =
        format!("SELECT count(*)::integer AS value FROM pg_stat_activity WHERE pid = {before}");
    until(&mut outside, 0, &open).await;
}

/// The rows of one query were read, and those of another one were not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_cut_short_in_a_pipeline_are_not_left_to_the_next_session() {
    let (registry, mut outside) = rig().await;
    let first = session(&registry).await;
    let before = pid(&first).await;
    assert!(thing(1).get_result::<String>(&first).await.is_ok());
    {
        let early = under_way(|| thing(1).load::<String>(&first)).await;
        let many = sql_query("SELECT generate_series(1, 50000000) AS value");
        let mut many = pin!(many.load::<Number>(&first));
        let is_sending = format!(
            "SELECT (COALESCE(wait_event, '') = 'ClientWrite')::integer AS value \
             FROM pg_stat_activity WHERE pid = {before}"
        );
        // The server waits for the client, which has begun to read the rows.
        soon(async {
            for _ in 0..20 {
                assert!(poll!(&mut many).is_pending());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            until(&mut outside, 1, &is_sending).await;
        })
        .await;
        assert_eq!(early.await.as_deref(), Ok(&["thing 1".to_owned()][..]));
    }
    drop(first);
    let next = soon(async { pid(&session(&registry).await).await }).await;
    assert_ne!(next, before);
}

#[tokio::test]
async fn query_on_a_changed_table_fails_once_and_then_works() {
    let (registry, mut outside) = rig().await;
    let session = &session(&registry).await;
    let things = || things::table.select(things::what).order(things::id);
    assert_eq!(things().load::<String>(session).await.expect("ten things").len(), 10);
    let alter = "ALTER TABLE things ALTER what TYPE VARCHAR(100)";
    outside.batch_execute(alter).await.expect("nothing is locked");
    let (one, other) = join!(things().load::<String>(session), things().load::<String>(session));
    for told in [one, other] {
        let error = told.expect_err("it is told");
        assert_eq!(error.to_string(), "cached plan must not change result type");
    }
    if READS_STREAM {
        for _ in 0..2 {
            let (one, other) = try_join!(
                things().load::<String>(session),
                things().limit(1).get_result::<String>(session)
            )
            .expect("it is prepared again");
            assert_eq!((one.len(), &*other), (10, "thing 1"));
        }
    }
}

#[tokio::test]
async fn pipeline_in_a_transaction_is_committed_with_it() {
    let (registry, mut outside) = rig().await;
    let mut session = session(&registry).await;
    let insert = |id: i32| {
        diesel::insert_into(things::table).values((things::id.eq(id), things::what.eq("new")))
    };
    session
        .transaction(async |session| {
            try_join!(insert(11).execute(&*session), insert(12).execute(&*session))
        })
        .await
        .expect("it commits");
    let count = "SELECT count(*)::integer AS value FROM things WHERE id > 10";
    assert_eq!(outside_number(&mut outside, count).await, 2);
    // The error of one aborts the transaction, though the program ignores it.
    let refused = session
        .transaction(async |session| {
            let (one, other) = join!(insert(13).execute(&*session), insert(11).execute(&*session));
            assert!(one.is_ok() && other.is_err());
            QueryResult::Ok(())
        })
        .await;
    let error = refused.expect_err("nothing is stored");
    assert!(error.to_string().contains("current transaction is aborted"), "{error}");
    assert_eq!(outside_number(&mut outside, count).await, 2);
    assert_eq!(things::table.count().get_result::<i64>(&session).await, Ok(12));
}

/// A statement that Diesel prepares once, other than one of `sql_query`.
struct Statement(&'static str);

impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for Statement {
    fn walk_ast<'b>(
        &'b self,
        mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
    ) -> QueryResult<()> {
        out.push_sql(self.0);
        Ok(())
    }
}

/// The order in which the program asks for the outcomes is not that in which the server ran the statements.
#[tokio::test]
async fn transaction_left_open_by_a_pipeline_never_reaches_the_next_session() {
    let (registry, mut outside) = rig().await;
    let first = session(&registry).await;
    let bare: &Postgres = &first;
    for sql in ["BEGIN", "COMMIT"] {
        Statement(sql).execute(bare).await.expect(sql);
    }
    {
        let mut commit = pin!(Statement("COMMIT").execute(bare));
        assert!(poll!(&mut commit).is_pending());
        soon(Statement("BEGIN").execute(bare)).await.expect("a transaction");
        commit.await.expect("only a warning");
    }
    drop(first);
    let next = session(&registry).await;
    diesel::insert_into(things::table)
        .values((things::id.eq(11), things::what.eq("new")))
        .execute(&next)
        .await
        .expect("an insert");
    let count = "SELECT count(*)::integer AS value FROM things WHERE id > 10";
    assert_eq!(outside_number(&mut outside, count).await, 1);
}

/// diesel-async asks the server for the number of the type, before the statement.
#[tokio::test]
async fn types_of_the_program_are_looked_up_in_a_pipeline() {
    let (registry, mut outside) = rig().await;
    outside.batch_execute(CREATE_MOOD).await.expect("a type");
    let session = session(&registry).await;
    let mood =
        |mood: Mood| diesel::select(mood.into_sql::<MoodType>()).get_result::<Mood>(&session);
    for _ in 0..2 {
        let all = try_join!(
            mood(Mood::Happy),
            thing(1).get_result::<String>(&session),
            mood(Mood::Sad),
            mood(Mood::Happy)
        );
        assert_eq!(all, Ok((Mood::Happy, "thing 1".to_owned(), Mood::Sad, Mood::Happy)));
    }
}

/// A future that is made and never awaited sends nothing, and leaves nothing behind.
#[tokio::test]
async fn query_that_is_never_awaited_is_not_cut_short() {
    let (registry, _) = rig().await;
    let first = session(&registry).await;
    let before = pid(&first).await;
    drop(thing(1).get_result::<String>(&first));
    drop(first);
    assert_eq!(pid(&session(&registry).await).await, before);
}

#[tokio::test]
async fn type_that_was_created_again_is_known_to_the_next_session() {
    let (registry, mut outside) = rig().await;
    outside.batch_execute(CREATE_MOOD).await.expect("a type");
    let mood = || diesel::select(Mood::Happy.into_sql::<MoodType>());
    let first = session(&registry).await;
    assert_eq!(mood().get_result::<Mood>(&first).await, Ok(Mood::Happy));
    outside.batch_execute("DROP TYPE mood").await.expect("it is unused");
    outside.batch_execute(CREATE_MOOD).await.expect("a type");
    let both = join!(mood().get_result::<Mood>(&first), mood().get_result::<Mood>(&first));
    assert!(both.0.is_err() && both.1.is_err(), "the number of the type is a stale one: {both:?}");
    drop(first);
    let second = session(&registry).await;
    assert_eq!(mood().get_result::<Mood>(&second).await, Ok(Mood::Happy));
}
