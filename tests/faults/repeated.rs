//! Queries on the registry whose table or type has changed since they were prepared.

use std::io::Write;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::query_builder::QueryId;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::SqlType;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use futures_util::TryStreamExt;
use registry_core::query::{IntoExecutor, QueryCall, QueryOf};
use registry_core::settings::BindSettings;
use registry_core::{AnyExecutor, BindDsl, Error, Postgres, Registry, RunQueryDsl, bind_tables};

use crate::support;

#[derive(Debug, SqlType, QueryId)]
#[diesel(postgres_type(name = "mood"))]
pub struct MoodType;

#[derive(Debug, PartialEq, AsExpression, FromSqlRow)]
#[diesel(sql_type = MoodType)]
pub struct Mood(String);

impl ToSql<MoodType, Pg> for Mood {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<MoodType, Pg> for Mood {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(String::from_utf8(bytes.as_bytes().to_vec())?))
    }
}

diesel::table! {
    things (id) {
        id -> Integer,
        what -> Text,
    }
}
diesel::table! {
    use diesel::sql_types::Integer;
    use super::MoodType;

    people (id) {
        id -> Integer,
        mood -> MoodType,
    }
}
bind_tables!(db = "default", backend = Postgres; things, people);

struct Case {
    /// A registry with one connection, so that it is known which connection has prepared a query.
    registry: Registry,
    /// A connection outside the engine: another program that migrates.
    other: Postgres,
    len: u32,
}

impl Case {
    async fn new() -> Self {
        let url = support::postgres().database("repeated");
        let bind = BindSettings::new(url.as_str()).max_connections(1);
        let registry = Registry::builder().bind("default", bind).build().expect("good settings");
        let mut other = Postgres::establish(&url).await.expect("it is up");
        let create = "CREATE TABLE things (id INTEGER PRIMARY KEY, what TEXT NOT NULL); \
                      INSERT INTO things VALUES (1, 'one'); \
                      CREATE TYPE mood AS ENUM ('sad', 'happy'); \
                      CREATE TABLE people (id SERIAL PRIMARY KEY, mood mood NOT NULL)";
        other.batch_execute(create).await.expect("an empty database");
        Self { registry, other, len: 100 }
    }

    /// Changes the type of a column to another one that is the same type to Diesel.
    async fn migrate(&mut self) {
        self.len += 1;
        let alter = format!("ALTER TABLE things ALTER what TYPE VARCHAR({})", self.len);
        self.other.batch_execute(&alter).await.expect("nothing is locked");
    }

    async fn make_mood_anew(&mut self) {
        let anew = "ALTER TABLE people ALTER mood TYPE text; DROP TYPE mood; \
                    CREATE TYPE mood AS ENUM ('sad', 'happy', 'calm'); \
                    ALTER TABLE people ALTER mood TYPE mood USING mood::mood";
        self.other.batch_execute(anew).await.expect("nothing is locked");
    }
}

async fn all(registry: &Registry) -> Result<Vec<String>, Error> {
    things::table.select(things::what).load(registry).await
}

#[tokio::test]
async fn routed_query_on_a_changed_table_is_repeated_transparently() {
    let mut case = Case::new().await;
    for _ in 0..3 {
        let registry = &case.registry;
        assert_eq!(all(registry).await.expect("load"), ["one"]);
        let first: String =
            things::table.select(things::what).first(registry).await.expect("first");
        assert_eq!(first, "one");
        let update = || diesel::update(things::table).set(things::what.eq("one"));
        let affected = update().returning(things::what).execute(registry).await.expect("a command");
        assert_eq!(affected, 1);
        let updated: Vec<String> = update()
            .returning((things::what, things::id))
            .get_results::<(String, i32)>(registry)
            .await
            .expect("get_results")
            .into_iter()
            .map(|(what, _)| what)
            .collect();
        assert_eq!(updated, ["one"]);
        let rows = things::table.load_stream::<(i32, String)>(registry).await.expect("a stream");
        assert_eq!(rows.try_collect::<Vec<_>>().await.expect("rows"), [(1, "one".to_owned())]);
        case.migrate().await;
    }
}

/// An executor of the program.
struct Own(Registry);

impl<'r> IntoExecutor for &'r Own {
    type Executor = &'r Registry;

    fn into_executor(self, _: QueryCall) -> &'r Registry {
        &self.0
    }
}

/// On whatever executor a query gets to the registry.
#[tokio::test]
async fn query_is_repeated_on_any_executor_and_on_one_of_the_program() {
    let mut case = Case::new().await;
    let what = || things::table.select(things::what);
    let own = Own(case.registry.clone());
    assert_eq!(all(&case.registry).await.expect("load"), ["one"]);
    for which in 0..4 {
        case.migrate().await;
        let mut on = AnyExecutor::from(&case.registry);
        let whats: Result<Vec<String>, Error> = match which {
            0 => what().load::<String>(&mut on).await,
            1 => what().load::<String>(on).await,
            2 => what().load::<String>(&own).await,
            _ => what().load_on(&case.registry).await,
        };
        assert_eq!(whats.expect("load"), ["one"]);
    }
    case.migrate().await;
    let mut work = case.registry.begin();
    let whats = what().load::<String>(&mut AnyExecutor::from(&mut work)).await;
    assert!(whats.is_err(), "the transaction of the unit of work is lost");
}

/// The test above discards every stale statement at the first query. Here each method meets one of its own.
#[tokio::test]
async fn every_query_method_is_repeated() {
    let mut case = Case::new().await;
    for which in 0..4 {
        for is_changed in [false, true] {
            if is_changed {
                case.migrate().await;
            }
            let registry = &case.registry;
            let what = things::table.select(things::what);
            match which {
                0 => drop(all(registry).await.expect("load")),
                1 => drop(what.first::<String>(registry).await.expect("first")),
                2 => {
                    let update = diesel::update(things::table).set(things::what.eq("one"));
                    update.returning(things::what).execute(registry).await.expect("execute");
                }
                _ => {
                    let rows = what.load_stream::<String>(registry).await.expect("a stream");
                    assert_eq!(rows.try_collect::<Vec<_>>().await.expect("rows"), ["one"]);
                }
            }
        }
    }
}

#[tokio::test]
async fn routed_query_with_a_recreated_type_is_repeated_on_another_connection() {
    let mut case = Case::new().await;
    let insert = |mood: &str| {
        diesel::insert_into(people::table).values(people::mood.eq(Mood(mood.to_owned())))
    };
    for _ in 0..3 {
        assert_eq!(insert("sad").execute(&case.registry).await.expect("a row"), 1);
        case.make_mood_anew().await;
    }
    let mood: Mood =
        insert("calm").returning(people::mood).get_result(&case.registry).await.expect("a row");
    assert_eq!(mood, Mood("calm".to_owned()));
    let sad = people::mood.eq(Mood("sad".to_owned()));
    let count: i64 =
        people::table.filter(sad).count().get_result(&case.registry).await.expect("a count");
    // No statement was run twice.
    assert_eq!(count, 3);
}

#[tokio::test]
async fn query_in_a_transaction_is_not_repeated_and_the_next_transaction_works() {
    let mut case = Case::new().await;
    all(&case.registry).await.expect("prepared");
    case.migrate().await;
    let load = async |registry: &Registry| {
        registry
            .transaction(async |work| things::table.select(things::what).load::<String>(work).await)
            .await
    };
    let error = load(&case.registry).await.expect_err("it is told once");
    assert_eq!(
        support::causes(&error),
        ["bind `default`: the query failed", "cached plan must not change result type"]
    );
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(load(&case.registry).await.expect("healed"), ["one"]);
}

#[tokio::test]
async fn query_in_test_isolation_is_not_repeated() {
    let mut case = Case::new().await;
    let registry = case.registry.test_isolation().await.expect("isolated");
    all(&registry).await.expect("prepared");
    // Run inside the isolated transaction: the other program would wait for its locks.
    let alter = "ALTER TABLE things ALTER what TYPE VARCHAR(77)";
    diesel::sql_query(alter).bound_to::<things::table>().execute(&registry).await.expect("altered");
    let error = all(&registry).await.expect_err("it is told once");
    assert_eq!(support::causes(&error)[1], "cached plan must not change result type");
    assert_eq!(all(&registry).await.expect("healed"), ["one"]);
    drop(registry);
    case.migrate().await;
}

#[tokio::test]
async fn procedure_that_committed_part_of_its_work_is_not_repeated() {
    let mut case = Case::new().await;
    let create = "CREATE PROCEDURE half() LANGUAGE plpgsql AS $$ BEGIN \
                  INSERT INTO people (mood) VALUES ('sad'); COMMIT; EXECUTE 'EXECUTE nothing'; \
                  END $$";
    case.other.batch_execute(create).await.expect("a procedure");
    let call = diesel::sql_query("CALL half()").bound_to::<people::table>();
    let error = call.execute(&case.registry).await.expect_err("the second half fails");
    assert_eq!(
        support::causes(&error),
        ["bind `default`: the query failed", "prepared statement \"nothing\" does not exist"]
    );
    let count: i64 = people::table.count().get_result(&case.registry).await.expect("a count");
    assert_eq!(count, 1);
}
