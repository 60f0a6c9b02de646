//! Stale knowledge of a PostgreSQL connection: types that were dropped and created again, plans whose tables have
//! changed, and prepared statements that are gone.

use diesel::prelude::*;
use registry_core::{
    BindSettings, ByKey, Error, Postgres, Registry, RunQueryDsl, Session, bind_tables,
};

use crate::support::mood::{CREATE_MOOD, Mood};
use crate::support::{Server, german_postgres, postgres};

diesel::table! {
    use diesel::sql_types::*;
    use crate::support::mood::MoodType;

    people (id) {
        id -> Integer,
        mood -> MoodType,
    }
}

diesel::table! {
    plans (id) {
        id -> Integer,
        what -> Text,
    }
}
bind_tables!(db = "default", backend = Postgres; people, plans);

/// A registry with two connections, on both of which the queries are prepared.
struct Case {
    url: String,
    registry: Registry,
}

impl Case {
    async fn new(server: &Server, statement_cache: bool) -> Self {
        let url = server.database("retyped");
        server.execute_in(
            &url,
            &format!(
                "{CREATE_MOOD}; CREATE TABLE people (id SERIAL PRIMARY KEY, mood mood NOT NULL); \
                 CREATE TABLE plans (id INTEGER PRIMARY KEY, what TEXT NOT NULL); \
                 INSERT INTO plans VALUES (1, 'one')"
            ),
        );
        let bind = BindSettings::new(url.as_str()).max_connections(2);
        let bind = bind.statement_cache(statement_cache);
        let registry = Registry::builder().bind("default", bind).build().expect("good settings");
        let case = Self { url, registry };
        for session in &mut case.both().await {
            assert_eq!(insert(session).await, Ok(Mood::Happy));
            assert_eq!(whats(session).await, Ok(vec!["one".to_owned()]));
        }
        // A query in a unit of work is another prepared statement than the same query on a session.
        let mut held = Vec::new();
        let works = [case.registry.begin(), case.registry.begin()];
        for mut work in works {
            let query = plans::table.select(plans::what);
            assert_eq!(query.load::<String>(&mut work).await.expect("rows"), ["one"]);
            let insert = diesel::insert_into(people::table).values(people::mood.eq(Mood::Happy));
            let insert = insert.returning(people::mood).get_result::<Mood>(&mut work);
            assert_eq!(insert.await.expect("a row"), Mood::Happy);
            held.push(work);
        }
        for work in held {
            work.rollback().await.expect("it is open");
        }
        case
    }

    async fn both(&self) -> [Session<ByKey<Postgres>>; 2] {
        let session = async || {
            let session = self.registry.session_by_key::<Postgres>("default").await;
            session.expect("a session")
        };
        [session().await, session().await]
    }

    /// The errors of successive borrowers, who get both connections.
    async fn errors(
        &self,
        run: impl AsyncFn(&mut Session<ByKey<Postgres>>) -> Option<String>,
    ) -> Vec<String> {
        let mut errors = Vec::new();
        for _ in 0..4 {
            for session in &mut self.both().await {
                errors.extend(run(session).await);
            }
        }
        errors
    }
}

async fn insert(session: &mut Session<ByKey<Postgres>>) -> QueryResult<Mood> {
    let insert = diesel::insert_into(people::table).values(people::mood.eq(Mood::Happy));
    diesel_async::RunQueryDsl::get_result(insert.returning(people::mood), &mut **session).await
}

async fn whats(session: &mut Session<ByKey<Postgres>>) -> QueryResult<Vec<String>> {
    diesel_async::RunQueryDsl::load(plans::table.select(plans::what), &mut **session).await
}

async fn routed_insert(registry: &Registry) -> Result<Mood, Error> {
    let insert = diesel::insert_into(people::table).values(people::mood.eq(Mood::Happy));
    insert.returning(people::mood).get_result(registry).await
}

async fn routed_whats(registry: &Registry) -> Result<Vec<String>, Error> {
    plans::table.select(plans::what).load(registry).await
}

const MAKE_ANEW: &str = "ALTER TABLE people ALTER mood TYPE text; DROP TYPE mood; \
    CREATE TYPE mood AS ENUM ('sad', 'happy', 'calm'); \
    ALTER TABLE people ALTER mood TYPE mood USING mood::mood";

/// Changes the column to another type that is the same type to Diesel.
const CHANGE: &str = "ALTER TABLE plans ALTER what TYPE VARCHAR(100)";

#[tokio::test]
async fn recreated_type_fails_at_most_once_per_connection() {
    for statement_cache in [true, false] {
        let case = Case::new(postgres(), statement_cache).await;
        for _ in 0..2 {
            postgres().execute_in(&case.url, MAKE_ANEW);
            let errors = case
                .errors(async |session| insert(session).await.err().map(|error| error.to_string()))
                .await;
            assert!(errors.len() <= 2, "cache {statement_cache}: {errors:?}");
        }
    }
}

#[tokio::test]
async fn recreated_type_causes_no_error_on_the_registry() {
    for statement_cache in [true, false] {
        let case = Case::new(postgres(), statement_cache).await;
        for _ in 0..3 {
            postgres().execute_in(&case.url, MAKE_ANEW);
            for _ in 0..3 {
                let inserted = routed_insert(&case.registry).await;
                assert_eq!(inserted.expect("nobody need know"), Mood::Happy);
            }
        }
        // The statement was repeated, and took effect once.
        let count: i64 = people::table.count().get_result(&case.registry).await.expect("a row");
        assert_eq!(count, 2 + 9);
    }
}

#[tokio::test]
async fn stale_plan_causes_no_error_on_the_registry() {
    for statement_cache in [true, false] {
        let case = Case::new(postgres(), statement_cache).await;
        for kind in ["VARCHAR(100)", "TEXT", "VARCHAR(50)"] {
            postgres().execute_in(&case.url, &CHANGE.replace("VARCHAR(100)", kind));
            for _ in 0..3 {
                let seen = routed_whats(&case.registry).await;
                assert_eq!(seen.expect("nobody need know"), ["one"], "{kind}");
            }
        }
    }
}

/// The error aborts the transaction, and with it earlier statements are lost, so the query cannot be repeated
/// transparently.
#[tokio::test]
async fn stale_plan_fails_once_in_a_unit_of_work() {
    let case = Case::new(postgres(), true).await;
    postgres().execute_in(&case.url, CHANGE);
    let run = || async {
        case.registry
            .transaction(async |work| plans::table.select(plans::what).load::<String>(work).await)
            .await
    };
    let mut failed = 0;
    for _ in 0..4 {
        match run().await {
            Ok(whats) => assert_eq!(whats, ["one"]),
            Err(error) => {
                failed += 1;
                assert!(error.is_transient(), "the whole may be tried again: {error:?}");
            }
        }
    }
    assert!(failed <= 1, "{failed} units of work were told");
}

/// Nothing in the text of the insert shows that its trigger runs `DEALLOCATE`.
#[tokio::test]
async fn statements_deallocated_by_a_trigger_are_prepared_again() {
    let case = Case::new(postgres(), true).await;
    postgres().execute_in(
        &case.url,
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN NEW; END $$; \
         CREATE TRIGGER forgets AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION forget()",
    );
    for _ in 0..3 {
        drop(case.both().await);
        // The insert may itself be a statement that is gone. It takes effect once.
        routed_insert(&case.registry).await.expect("nobody need know");
        assert_eq!(routed_whats(&case.registry).await.expect("nobody need know"), ["one"]);
    }
    let mut both = case.both().await;
    let [session, _] = &mut both;
    insert(session).await.ok();
    let first = whats(session).await;
    assert_eq!(whats(session).await, Ok(vec!["one".to_owned()]), "after {first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_a_german_server_are_recognized() {
    let server = tokio::task::block_in_place(german_postgres);
    let case = Case::new(&server, true).await;
    let mut german = case.both().await;
    let error = diesel_async::SimpleAsyncConnection::batch_execute(&mut *german[0], "SELECT 1/0");
    let error = error.await.expect_err("it cannot").to_string();
    assert_eq!(error, "Division durch Null", "the server's messages are not in German");
    drop(german);

    server.execute_in(&case.url, CHANGE);
    let errors = case
        .errors(async |session| whats(session).await.err().map(|error| error.to_string()))
        .await;
    assert!(errors.len() <= 1, "{errors:?}");
    for kind in ["TEXT", "VARCHAR(50)"] {
        server.execute_in(&case.url, &CHANGE.replace("VARCHAR(100)", kind));
        assert_eq!(routed_whats(&case.registry).await.expect("nobody need know"), ["one"]);
    }
    server.execute_in(&case.url, MAKE_ANEW);
    let errors = case
        .errors(async |session| insert(session).await.err().map(|error| error.to_string()))
        .await;
    assert!(errors.len() <= 2, "{errors:?}");
    assert!(case.registry.close().await.is_complete());
}
