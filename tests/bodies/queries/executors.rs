//! What queries are run on: sessions, bare connections, streams and other tasks; and what is refused.

use std::pin::pin;

use diesel::dsl::{exists, max};
use diesel::sql_types::Integer;
use futures_util::{StreamExt, TryStreamExt};
use registry_core::{ByKey, Error, Session};

use super::super::NAME;
use super::*;
use crate::support::log::captured_log;
use crate::support::{causes, eventually};

/// A model that is bound to the other database and has no table.
#[bind(db = "archive", connection = super::Backend)]
#[derive(Debug, PartialEq, Queryable)]
struct Archived {
    id: i32,
    name: String,
}

#[tokio::test]
async fn queries_without_a_table_run_on_a_session_or_the_bind_they_are_given() {
    let registry = registry().await;
    let mut session = registry.session_for::<events::table>().await.expect("a session");
    let one: i32 = diesel::select(diesel::dsl::sql::<Integer>("1"))
        .get_result(&mut session)
        .await
        .expect("a row");
    assert_eq!(one, 1);
    sql_query("INSERT INTO events VALUES (103, 'archive more')")
        .execute(&mut session)
        .await
        .expect("a row");
    let any = || diesel::select(exists(events::table.filter(events::name.like("archive%"))));
    assert!(any().get_result::<bool>(&mut session).await.expect("a row"));
    drop(session);
    assert!(any().bound_to::<Archive>().get_result::<bool>(&registry).await.expect("a row"));
    let affected = sql_query("INSERT INTO users VALUES (9, 'main sql')").bound_to::<User>();
    assert_eq!(affected.execute(&registry).await.expect("a row"), 1);
    let (main, archive) = names(&registry, "users").await;
    assert_eq!((&*main[3], archive.len()), ("main sql", 3));
    let (main, archive) = names(&registry, "events").await;
    assert_eq!((main.len(), &*archive[2]), (2, "archive more"));
}

/// A function as written for diesel-async; only the import of `RunQueryDsl` differs.
async fn helper(connection: &mut Backend) -> QueryResult<usize> {
    sql_query("DELETE FROM comments").execute(connection).await
}

#[tokio::test]
async fn functions_and_transactions_of_diesel_async_work_on_a_session() {
    let registry = registry().await;
    let mut session = registry.session_for::<User>().await.expect("a session");
    let error = session
        .transaction(async |session| {
            assert_eq!(helper(session).await?, 3);
            diesel::delete(posts::table).execute(&mut *session).await?;
            let left: i64 = posts::table.count().get_result(&mut *session).await?;
            assert_eq!(left, 0);
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        })
        .await
        .expect_err("as asked");
    assert_eq!(error, diesel::result::Error::RollbackTransaction);
    let left: i64 = comments::table.count().get_result(&mut session).await.expect("a row");
    assert_eq!(left, 3);
    // A bare connection runs any query unchecked.
    let there: i64 = events::table.count().get_result(&mut *session).await.expect("a row");
    assert_eq!(there, 2);
    let mut by_key = registry.session_by_key::<Backend>("archive").await.expect("a session");
    let first: String =
        users::table.select(users::name).order(users::id).first(&mut by_key).await.expect("a row");
    assert_eq!(first, "archive ada");
    let _: &Session<ByKey<Backend>> = &by_key;
}

#[tokio::test]
async fn stream_holds_its_session_until_dropped() {
    let registry = registry().await;
    let in_use = || registry.status().engines.iter().map(|engine| engine.in_use).sum::<u32>();
    {
        let stream =
            users::table.order(users::id).load_stream::<User>(&registry).await.expect("rows");
        let mut stream = pin!(stream);
        assert_eq!(in_use(), 1);
        let first = stream.next().await.expect("a row").expect("no error");
        assert_eq!(first.name, "main ada");
        assert_eq!(in_use(), 1);
        let rest: Vec<User> = stream.try_collect().await.expect("rows");
        assert_eq!(rest.len(), 2);
    }
    eventually(|| in_use() == 0).await;
    let mut session = registry.session_for::<User>().await.expect("a session");
    let rows = users::table.select(users::id).load_stream::<i32>(&mut session).await.expect("rows");
    assert_eq!(rows.try_collect::<Vec<_>>().await.expect("rows").len(), 3);
    drop(session);
    let failed = users::table
        .select(diesel::dsl::sql::<Integer>("no_such_column"))
        .load_stream::<i32>(&registry)
        .await;
    assert!(matches!(failed.err(), Some(Error::Query(_))));
}

#[tokio::test]
async fn tables_of_another_bind_that_types_do_not_show_are_refused_before_sending() {
    let registry = registry().await;
    let refused = |error: Error| causes(&error).join(": ");
    let said = "a query for bind `default` has the table `events`, which belongs to bind `archive`";

    let from_select = diesel::insert_into(users::table)
        .values(events::table.select((events::id, events::name)))
        .execute(&registry)
        .await;
    assert!(refused(from_select.expect_err("another database")).ends_with(said));
    let columns = diesel::insert_into(users::table)
        .values(events::table.select((events::name, events::id)))
        .into_columns((users::name, users::id));
    assert!(
        refused(columns.execute(&registry).await.expect_err("another database")).ends_with(said)
    );

    let in_box = users::table
        .filter(users::name.eq_any(events::table.select(events::name)))
        .into_boxed::<Db>();
    let in_box = in_box.load::<User>(&registry).await;
    assert!(refused(in_box.expect_err("another database")).ends_with(said));

    let boxed_part = users::table
        .select(users::id)
        .union(events::table.select(events::id).into_boxed::<Db>())
        .bound_to::<User>()
        .load::<i32>(&registry)
        .await;
    assert!(refused(boxed_part.expect_err("another database")).ends_with(said));

    let in_select = users::table
        .select((users::id, events::table.select(max(events::id)).single_value()))
        .load::<(i32, Option<i32>)>(&registry)
        .await;
    assert!(refused(in_select.expect_err("another database")).ends_with(said));

    let in_set = diesel::update(users::table.find(1))
        .set(
            users::name.eq(events::table
                .select(events::name)
                .limit(1)
                .single_value()
                .assume_not_null()),
        )
        .execute(&registry)
        .await;
    assert!(refused(in_set.expect_err("another database")).ends_with(said));

    let mut session = registry.session_for::<User>().await.expect("a session");
    let on_session = diesel::insert_into(users::table)
        .values(events::table.select((events::id, events::name)))
        .execute(&mut session)
        .await;
    let error = on_session.expect_err("another database");
    assert!(
        matches!(&error, diesel::result::Error::QueryBuilderError(cause) if cause.to_string() == said)
    );

    // Rows can be loaded into any model that fits them, wherever it is bound.
    let loaded: Vec<Archived> = users::table.find(1).load(&mut session).await.expect("a row");
    assert_eq!(loaded, [Archived { id: 1, name: "main ada".to_owned() }]);
    // The text of `sql_query` is not checked.
    let quoted = if NAME == "mysql" { "DELETE FROM `events`" } else { "DELETE FROM \"events\"" };
    assert_eq!(sql_query(quoted).execute(&mut session).await.expect("its own table"), 2);
    drop(session);
    assert_eq!(names(&registry, "users").await.0.len(), 3, "nothing was sent");
}

#[tokio::test]
async fn query_beside_a_session_of_its_bind_logs_a_warning() {
    let registry = registry().await;
    let log = captured_log();
    let warnings = |line: u32| {
        log.lines_with(&format!("{}:{line}:", file!()))
            .iter()
            .filter(|text| text.contains("WARN") && text.contains("has a session of the same bind"))
            .count()
    };
    let session = registry.session_for::<User>().await.expect("a session");
    let elsewhere = line!() + 1;
    let _: i64 = events::table.count().get_result(&registry).await.expect("a row");
    assert_eq!(warnings(elsewhere), 0);
    let here = line!() + 1;
    let _: i64 = users::table.count().get_result(&registry).await.expect("a row");
    // The check takes too long for a release build.
    assert_eq!(warnings(here) > 0, cfg!(debug_assertions));
    drop(session);
    // A stream of the registry is no session of the task, so there is no warning.
    let mut rows = users::table.load_stream::<User>(&registry).await.expect("rows");
    let beside = line!() + 1;
    let _: i64 = users::table.count().get_result(&registry).await.expect("a row");
    assert_eq!(warnings(beside), 0);
    while rows.try_next().await.expect("no error").is_some() {}
}

async fn first_of<M>(registry: &Registry) -> String
where
    M: Bound + Send,
{
    registry.session_for::<M>().await.expect("a session").key().to_owned()
}

fn spawn_first_of<M>(registry: Registry) -> tokio::task::JoinHandle<String>
where
    M: Bound + Send + 'static,
{
    tokio::spawn(async move { first_of::<M>(&registry).await })
}

trait Reports {
    fn count(&self) -> impl Future<Output = Result<i64, Error>> + Send;
}

impl Reports for Registry {
    async fn count(&self) -> Result<i64, Error> {
        users::table.count().get_result(self).await
    }
}

#[tokio::test]
async fn query_futures_are_send() {
    let registry = registry().await;
    let task = tokio::spawn({
        let registry = registry.clone();
        async move {
            let ids: Vec<i32> = users::table.select(users::id).load(&registry).await?;
            let union = users::table.select(users::id).union(posts::table.select(posts::id));
            let both: Vec<i32> = union.load(&registry).await?;
            let mut session = registry.session_for::<events::table>().await?;
            let count: i64 = events::table.count().get_result(&mut session).await?;
            let stream = users::table.select(users::id).load_stream::<i32>(&registry).await?;
            let streamed: Vec<i32> = stream.try_collect().await?;
            Ok::<_, Error>((ids.len(), both.len(), count, streamed.len()))
        }
    });
    assert_eq!(task.await.expect("no panic").expect("rows"), (3, 3, 2, 3));
    assert_eq!(registry.count().await.expect("a row"), 3);
    assert_eq!(first_of::<events::table>(&registry).await, "archive");
    assert_eq!(spawn_first_of::<User>(registry).await.expect("no panic"), "default");
}

#[tokio::test]
async fn a_query_knows_its_bind() {
    fn key<Q: Bound>(_: &Q) -> &'static str {
        <Q::Bind as registry_core::Bind>::KEY
    }
    assert_eq!(key(&users::table.inner_join(posts::table).select(users::id)), "default");
    assert_eq!(key(&events::table.into_boxed::<Db>()), "archive");
    assert_eq!(key(&diesel::delete(events::table.find(1))), "archive");
    assert_eq!(key(&diesel::update(events::table).set(events::name.eq("a"))), "archive");
    assert_eq!(key(&diesel::insert_into(users::table).values(users::id.eq(1))), "default");
    assert_eq!(key(&sql_query("SELECT 1").bound_to::<Archive>()), "archive");
}
