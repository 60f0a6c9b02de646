//! Prepared statements of PostgreSQL whose table has changed since they were prepared.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, ByKey, Postgres, Registry, Session};

use crate::support;

diesel::table! {
    things (id) {
        id -> Integer,
        what -> Text,
    }
}

struct Case {
    registry: Registry,
    /// A connection outside the engine: another program that migrates.
    other: Postgres,
}

impl Case {
    /// Opens two connections and prepares the same query on both.
    async fn new() -> Self {
        let url = support::postgres().database("plans");
        let bind = BindSettings::new(url.as_str()).max_connections(2);
        let registry = Registry::builder().bind("default", bind).build().expect("good settings");
        let mut other = Postgres::establish(&url).await.expect("it is up");
        let create = "CREATE TABLE things (id INTEGER PRIMARY KEY, what TEXT NOT NULL); \
                      INSERT INTO things VALUES (1, 'one')";
        other.batch_execute(create).await.expect("an empty database");
        let case = Self { registry, other };
        let mut both = case.both().await.expect("two sessions");
        for session in &mut both {
            assert_eq!(all(session).await, Ok(vec!["one".to_owned()]));
        }
        case
    }

    async fn both(&self) -> Result<[Session<ByKey<Postgres>>; 2], AcquireError> {
        let session = || self.registry.session_by_key::<Postgres>("default");
        Ok([session().await?, session().await?])
    }

    /// Changes the type of a column to another one that is the same type to Diesel.
    async fn migrate(&mut self) {
        let alter = "ALTER TABLE things ALTER what TYPE VARCHAR(100)";
        self.other.batch_execute(alter).await.expect("nothing is locked");
    }
}

async fn all(session: &mut Session<ByKey<Postgres>>) -> QueryResult<Vec<String>> {
    things::table.select(things::what).load(&mut **session).await
}

#[tokio::test]
async fn query_on_a_changed_table_fails_once_and_then_works() {
    let mut case = Case::new().await;
    case.migrate().await;
    let [mut session, _] = case.both().await.expect("two sessions");
    let error = all(&mut session).await.expect_err("it is told once");
    assert_eq!(error.to_string(), "cached plan must not change result type");
    assert_eq!(all(&mut session).await, Ok(vec!["one".to_owned()]));
}

#[tokio::test]
async fn stale_plan_found_on_one_connection_is_discarded_on_the_others() {
    let mut case = Case::new().await;
    case.migrate().await;
    let mut failed = 0;
    for _ in 0..3 {
        let mut both = case.both().await.expect("two sessions");
        for session in &mut both {
            failed += u32::from(all(session).await.is_err());
        }
    }
    assert!(failed <= 1, "{failed} callers were told");
}
