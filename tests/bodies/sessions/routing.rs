//! Which database a session belongs to.

use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::SimpleAsyncConnection;
use registry_core::AcquireError;

use super::*;
use crate::support::causes;

/// A table of the same name in another database.
#[bind(db = "archive", connection = super::Backend)]
#[derive(Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = old_events)]
struct OldEvent {
    id: i32,
    what: String,
}

#[tokio::test]
async fn each_model_reaches_its_own_database() {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("archive", database())
        .build()
        .expect("good settings");

    let mut main = registry.session_for::<Event>().await.expect("a session");
    let mut archive = registry.session_for::<OldEvent>().await.expect("a session");
    assert_eq!((main.key(), archive.key()), ("default", "archive"));
    for (connection, what) in [(&mut *main, "main"), (&mut *archive, "archive")] {
        connection.batch_execute(CREATE).await.expect("an empty database");
        diesel::insert_into(events::table)
            .values((events::id.eq(1), events::what.eq(what)))
            .execute(connection)
            .await
            .expect("a row");
    }
    drop((main, archive));

    let mut main = registry.session_for::<Event>().await.expect("a session");
    let rows = events::table.select(Event::as_select()).load(&mut main).await.expect("rows");
    assert_eq!(rows, [Event { id: 1, what: "main".to_owned() }]);
    let mut archive = registry.session_for::<OldEvent>().await.expect("a session");
    let rows =
        old_events::table.select(OldEvent::as_select()).load(&mut archive).await.expect("rows");
    assert_eq!(rows, [OldEvent { id: 1, what: "archive".to_owned() }]);
    // Sessions can be acquired for a table or a bind as well as for a model.
    assert_eq!(registry.session_for::<events::table>().await.expect("a session").key(), "default");
    assert_eq!(registry.session::<Main>().await.expect("a session").key(), "default");
}

#[tokio::test]
async fn session_is_a_connection_and_is_passed_to_transactions() {
    let registry = registry_with(|bind| bind);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");

    let outcome: Result<(), diesel::result::Error> = session
        .transaction(async |session: &mut Session<Main>| {
            insert(session, 1).await;
            Err(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert_eq!(outcome, Err(diesel::result::Error::RollbackTransaction));
    let outcome: Result<(), diesel::result::Error> = session
        .transaction(async |session| {
            insert(session, 2).await;
            Ok(())
        })
        .await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(ids(&mut session).await, [2]);
}

#[tokio::test]
async fn session_by_key_finds_the_bind_at_run_time() {
    let registry = registry_with(|bind| bind);
    let session = registry.session_by_key::<Backend>("default").await.expect("a session");
    assert_eq!(session.key(), "default");

    let error = registry.session_by_key::<Backend>("defualt").await.expect_err("no such bind");
    assert!(matches!(error, AcquireError::UnknownBind(_)));
    assert_eq!(
        error.to_string(),
        "the settings have no bind `defualt`; they have `default`; did you mean `default`?"
    );
    // An empty string, which cannot be a key.
    let error = registry.session_by_key::<Backend>("").await.expect_err("no such bind");
    assert_eq!(error.to_string(), "the settings have no bind ``; they have `default`");
}

#[tokio::test]
async fn unknown_bind_lists_known_keys() {
    let registry = registry_with(|bind| bind);
    let error = registry.session_for::<OldEvent>().await.expect_err("no such bind");
    assert_eq!(error.key(), "archive");
    assert_eq!(error.to_string(), "the settings have no bind `archive`; they have `default`");
    assert_eq!(registry.engine_for::<OldEvent>().expect_err("no such bind").key, "archive");
}

#[tokio::test]
async fn update_counts_matched_rows() {
    let registry = registry_with(|bind| bind);
    let mut session = registry.session_for::<Event>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("an empty database");
    insert(&mut session, 1).await;
    // By default, MySQL counts only rows that an update changes.
    let update = diesel::update(events::table).set(events::what.eq("new"));
    assert_eq!(update.execute(&mut session).await, Ok(1));
}

#[tokio::test]
async fn unique_violation_has_its_database_kind() {
    async fn insert_twice(registry: &Registry) -> Result<(), registry_core::Error> {
        let mut session = registry.session_for::<Event>().await?;
        session.batch_execute(CREATE).await?;
        for _ in 0..2 {
            diesel::insert_into(events::table)
                .values(Event { id: 1, what: "new".to_owned() })
                .execute(&mut session)
                .await?;
        }
        Ok(())
    }
    let error = insert_twice(&registry_with(|bind| bind)).await.expect_err("a key twice");
    let kind = error.database_kind().expect("an error of the database");
    assert!(matches!(kind, diesel::result::DatabaseErrorKind::UniqueViolation));
    assert!(!error.is_timeout() && !error.is_transient());
    assert_eq!(error.to_string(), "the query failed");
    assert_eq!(causes(&error).len(), 2);
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[tokio::test]
async fn url_scheme_selects_the_backend() {
    let registry = registry_with(|bind| bind);
    let query = if NAME == "sqlite" {
        "SELECT 'sqlite ' || sqlite_version() AS version"
    } else {
        "SELECT version() AS version"
    };
    let mut session = registry.session_for::<Event>().await.expect("a session");
    let version: Version = sql_query(query).get_result(&mut session).await.expect("a row");
    let version = version.version.to_lowercase();
    let expected = if NAME == "mysql" { "mariadb" } else { NAME };
    assert!(version.contains(expected) || NAME == "mysql" && !version.is_empty(), "{version}");
}
