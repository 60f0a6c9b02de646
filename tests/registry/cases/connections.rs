//! Sessions without a registry, what only one backend has of them, and URLs with their passwords.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::{
    BindSettings, ByKey, IntoInnerError, Registry, RunQueryDsl, Session, Settings, Sqlite, binds,
};

use crate::support::{self, fresh_folder};

binds! {
    Main: Postgres = "default";
    Files: Sqlite = "files";
}

#[tokio::test]
async fn statement_that_is_cut_short_on_a_one_off_session_is_cancelled() {
    let url = support::postgres().database("test");
    let mut session = Session::<Main>::connect(&*url).await.expect("a session");
    let mut watcher = Session::<Main>::connect(&*url).await.expect("a session");
    let sleeping = async |watcher: &mut Session<Main>| -> i64 {
        let count = sql::<BigInt>(
            "(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND query LIKE 'SELECT pg_sleep(3600)%' AND state = 'active')",
        );
        diesel::select(count).get_result(watcher).await.expect("a count")
    };
    {
        let mut statement = Box::pin(session.batch_execute("SELECT pg_sleep(3600)"));
        assert!(futures_util::poll!(&mut statement).is_pending());
        while sleeping(&mut watcher).await == 0 {
            assert!(futures_util::poll!(&mut statement).is_pending());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    drop(session);
    let ended = async {
        while sleeping(&mut watcher).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it is cancelled");
}

#[tokio::test]
async fn database_in_memory_stays_with_its_engine_and_leaves_a_one_off_session() {
    let registry =
        Registry::builder().bind("files", "sqlite::memory:").build().expect("good settings");
    support::run_sql::<Files>(&registry, "CREATE TABLE kept (id INTEGER)").await;
    let session = registry.session::<Files>().await.expect("a session");
    let error = session.into_inner().map(drop).expect_err("the database lives in it");
    assert!(matches!(error, IntoInnerError::InMemory { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "bind `files`: the connection cannot be taken out of its engine: the database is in memory, and lives in \
         this connection"
    );
    support::run_sql::<Files>(&registry, "SELECT count(*) FROM kept").await;

    let mut session = Session::<Files>::connect("sqlite::memory:").await.expect("a session");
    session.batch_execute("CREATE TABLE kept (id INTEGER)").await.expect("a table");
    let mut taken = session.into_inner().expect("nobody else has it");
    taken.batch_execute("SELECT count(*) FROM kept").await.expect("it is the same database");
}

#[tokio::test]
async fn one_off_session_without_a_bind_has_the_default_key() {
    let session = Session::<ByKey<Sqlite>>::connect("sqlite::memory:").await.expect("a session");
    assert_eq!(session.key(), "default");
    let connection = Sqlite::establish(":memory:").await.expect("a connection");
    let session = Session::<ByKey<Sqlite>>::from_connection(connection).await.expect("a session");
    assert_eq!(session.key(), "default");
}

#[test]
fn exposed_url_is_what_the_engine_connects_with() {
    let folder = fresh_folder();
    std::fs::write(folder.join("password"), "a/b c\n").expect("a file");
    std::fs::write(folder.join("url"), "postgres://app:hunter2@db.example/other\n")
        .expect("a file");
    let settings = Settings::from_toml(
        r#"
        [database]
        url = "postgresql://app@db.example:5433/app?sslmode=disable&sslrootcert=tls/ca.pem&application_name=x"
        password_file = "password"
        [database.binds]
        other = { url_file = "url" }
        reports = { url = "mariadb://app@db.example/r", password = "hunter2" }
        files = "sqlite:data/app.db?mode=ro"
        "#,
    );
    let settings = settings.expect("TOML").relative_to(&folder);
    let registry = Registry::from_settings(settings).expect("good settings");
    let exposed = |key: &str| registry.engine(key).expect("it is there").url().expose();
    let folder = folder.display();
    assert_eq!(
        exposed("default"),
        format!(
            "postgres://app:a%2Fb%20c@db.example:5433/app?sslmode=disable&application_name=x\
             &sslrootcert={folder}/tls/ca.pem"
        )
    );
    assert_eq!(exposed("other"), "postgres://app:hunter2@db.example/other");
    assert_eq!(exposed("reports"), "mysql://app:hunter2@db.example/r");
    assert_eq!(exposed("files"), format!("sqlite://{folder}/data/app.db?mode=ro"));
}

#[tokio::test]
async fn exposed_url_leads_to_the_same_database() {
    let url = support::postgres().database("test");
    let registry = Registry::builder().bind("default", url).build().expect("good settings");
    support::run_sql::<Main>(&registry, "CREATE TABLE marker (id INTEGER)").await;
    let exposed = registry.engine("default").expect("it is there").url().expose();
    let mut session =
        Session::<Main>::connect(BindSettings::new(exposed)).await.expect("the same password");
    session.batch_execute("SELECT * FROM marker").await.expect("the same database");
}
