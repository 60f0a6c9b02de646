//! Sessions by URL, on each backend.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, ConnectError, DatabaseUrl, Registry, RunQueryDsl, bind_tables};

use super::{database, tenants};
use crate::support::{causes, eventually};

diesel::table! {
    notes (id) {
        id -> Integer,
        what -> Text,
    }
}
bind_tables!(db = "notes", connection = super::Backend; notes);

const CREATE: &str =
    "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL, what VARCHAR(80) NOT NULL)";

fn registry() -> Registry {
    Registry::builder().bind("notes", database()).build().expect("good settings")
}

/// Creates the table with a row that identifies the database.
async fn prepare(registry: &Registry, url: &str, what: &str) {
    let mut session = registry.session_by_url::<notes::table>(url).await.expect("a session");
    session.batch_execute(CREATE).await.expect("a table");
    let row = (notes::id.eq(1), notes::what.eq(what));
    diesel::insert_into(notes::table).values(row).execute(&mut session).await.expect("a row");
}

async fn what(registry: &Registry, settings: impl Into<BindSettings>) -> String {
    let mut session = registry.session_by_url::<notes::table>(settings).await.expect("a session");
    assert_eq!(session.key(), "notes");
    notes::table.select(notes::what).first(&mut session).await.expect("a row")
}

#[tokio::test]
async fn session_by_url_reaches_another_database_of_the_models_bind() {
    let registry = registry();
    let (one, two) = (database(), database());
    prepare(&registry, &one, "one").await;
    prepare(&registry, &two, "two").await;
    assert_eq!(what(&registry, one.as_str()).await, "one");
    assert_eq!(what(&registry, two.parse::<DatabaseUrl>().expect("a URL")).await, "two");
    // The bind's own database was not touched.
    let error = notes::table.select(notes::what).first::<String>(&registry).await.unwrap_err();
    assert!(causes(&error).concat().contains("notes"), "there is no such table");
}

#[tokio::test]
async fn sessions_by_the_same_url_share_an_engine() {
    let registry = registry();
    let url = database();
    prepare(&registry, &url, "shared").await;
    let all = join_all((0..32).map(|_| {
        let (registry, url) = (registry.clone(), url.clone());
        tokio::spawn(async move { what(&registry, url).await })
    }));
    for seen in all.await {
        assert_eq!(seen.expect("no panic"), "shared");
    }
    let status = registry.status().on_demand;
    assert_eq!((status.engines.len(), status.misses), (1, 1));
    assert!(status.hits >= 32, "{status:?}");
    assert!(status.engines[0].tenants.is_empty());
}

#[tokio::test]
async fn sessions_by_url_with_other_options_get_another_engine() {
    let registry = registry();
    let url = database();
    prepare(&registry, &url, "shared").await;
    for _ in 0..2 {
        assert_eq!(
            what(&registry, BindSettings::new(url.as_str()).max_connections(2)).await,
            "shared"
        );
    }
    let engines = registry.status().on_demand.engines;
    let max: Vec<u32> = engines.iter().map(|engine| engine.engine.max).collect();
    assert_eq!(max, [2, 10], "the most recently used first");
}

#[tokio::test]
async fn options_of_the_bind_apply_to_its_other_urls() {
    let own =
        BindSettings::new(database()).max_connections(3).acquire_timeout(Duration::from_millis(50));
    let registry = Registry::builder().bind("notes", own).build().expect("good settings");
    let url = database();
    let mut lent = Vec::new();
    for _ in 0..3 {
        // Opening a connection can take longer than acquire_timeout on a busy machine.
        let session = registry.session_by_url::<notes::table>(url.as_str());
        lent.push(session.within(Duration::from_secs(30)).await.expect("a session"));
    }
    let error = registry.session_by_url::<notes::table>(url.as_str()).await.unwrap_err();
    assert!(matches!(error, AcquireError::TimedOut { max: 3, in_use: 3, .. }), "{error}");
}

#[tokio::test]
async fn a_failure_to_open_is_not_remembered() {
    let registry = registry();
    // A template without any tenant yet, as the place of a database that is created later.
    let template = tenants([]);
    let url = template.replace("{tenant}", "late");
    let url = if url.starts_with("sqlite") { format!("{url}?mode=rw") } else { url };
    for _ in 0..2 {
        let error = registry.session_by_url::<notes::table>(url.as_str()).await.unwrap_err();
        let AcquireError::Connect { key, source, .. } = &error else { panic!("{error}") };
        assert_eq!(*key, "notes");
        assert!(matches!(**source, ConnectError::UnknownDatabase(_)), "{:?}", causes(&error));
    }
    // An engine that never had a connection does not count against max_engines.
    eventually(|| {
        let status = registry.status().on_demand;
        status.engines.is_empty() && status.closing == 0
    })
    .await;
    make(&url);
    prepare(&registry, &url, "late").await;
    assert_eq!(what(&registry, url).await, "late");
}

/// Creates the database at `url`.
fn make(url: &str) {
    let name = url.rsplit('/').next().expect("a name");
    match url.split(':').next() {
        Some("postgres") => crate::support::postgres().execute(&format!("CREATE DATABASE {name}")),
        Some("mysql") => crate::support::mariadb().execute(&format!("CREATE DATABASE {name}")),
        _ => {
            let path = url.trim_start_matches("sqlite://").trim_end_matches("?mode=rw");
            std::fs::File::create(path).expect("an empty file");
        }
    }
}

#[tokio::test]
async fn invalid_settings_of_a_url_are_reported_before_connecting() {
    let registry = registry();
    let error = registry.session_by_url::<notes::table>("nonsense").await.unwrap_err();
    assert_eq!(
        causes(&error),
        [
            "bind `notes`: no engine can be opened with these settings",
            "settings of \"notes\": not the URL of a database: one begins with `postgres://`, \
             `mysql://` or `sqlite:`, such as `sqlite://data/app.db`"
        ]
    );
    let settings = BindSettings::new(database()).max_connections(0);
    let error = registry.session_by_url::<notes::table>(settings).await.unwrap_err();
    assert!(causes(&error).concat().contains("max_connections"), "{error}");
    let other =
        if database().starts_with("sqlite") { "postgres://h/db" } else { "sqlite::memory:" };
    let error = registry.session_by_url::<notes::table>(other).await.unwrap_err();
    assert!(matches!(&error, AcquireError::WrongBackend(wrong) if wrong.key == "notes"), "{error}");
    let error = registry.session_by_url::<notes::table>(tenants([])).await.unwrap_err();
    assert!(matches!(error, AcquireError::NoTenant { .. }), "{error}");
    assert!(registry.status().on_demand.engines.is_empty());
}

#[tokio::test]
async fn engine_closed_by_its_url_is_opened_again_on_the_next_use() {
    let registry = registry();
    let url = database();
    prepare(&registry, &url, "before").await;
    let mut lent = registry.session_by_url::<notes::table>(url.as_str()).await.expect("a session");
    let closing = {
        let (registry, url) = (registry.clone(), url.clone());
        tokio::spawn(async move { registry.close_engine(url).await })
    };
    eventually(|| registry.status().on_demand.engines.is_empty()).await;
    assert_eq!(registry.status().on_demand.closing, 1, "it still has a session lent");
    // Callers meanwhile get another engine, and the lent session stays valid.
    assert_eq!(what(&registry, url.as_str()).await, "before");
    let seen: String = notes::table.select(notes::what).first(&mut lent).await.expect("a row");
    assert_eq!(seen, "before");
    assert!(!closing.is_finished());
    drop(lent);
    let report = closing.await.expect("no panic").expect("a URL");
    assert!(report.is_complete());
    eventually(|| registry.status().on_demand.closing == 0).await;
    assert!(registry.close_engine("nonsense").await.is_err());
}

#[tokio::test]
async fn closing_the_registry_closes_engines_opened_by_url() {
    let registry = registry();
    let url = database();
    prepare(&registry, &url, "before").await;
    let report = registry.close().await;
    assert!(report.is_complete());
    assert!(registry.status().on_demand.engines.is_empty());
    let error = registry.session_by_url::<notes::table>(url).await.unwrap_err();
    assert!(matches!(error, AcquireError::Closed { key } if key == "notes"), "{error}");
}
