//! Replacing the engine of a bind while it is used, on each backend.

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::settings::BindSettings;
use registry_core::{Registry, ReplaceError, RunQueryDsl, bind_tables};

use super::{database, tenants};
use crate::support::eventually;

diesel::table! {
    places (id) {
        id -> Integer,
        what -> Text,
    }
}
diesel::table! {
    #[sql_name = "places"]
    own_places (id) {
        id -> Integer,
        what -> Text,
    }
}
bind_tables!(db = "default", connection = super::Backend; places);
bind_tables!(db = "crm", connection = super::Backend; own_places);

const CREATE: &str =
    "CREATE TABLE places (id INTEGER PRIMARY KEY NOT NULL, what VARCHAR(80) NOT NULL)";

/// A database with a row that names it.
async fn database_called(what: &str) -> String {
    let url = database();
    let registry =
        Registry::builder().bind("default", url.as_str()).build().expect("good settings");
    let mut session = registry.session_for::<places::table>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("a table");
    let row = (places::id.eq(1), places::what.eq(what));
    diesel::insert_into(places::table).values(row).execute(&mut session).await.expect("a row");
    drop(session);
    registry.close().await;
    url
}

async fn what(registry: &Registry) -> String {
    places::table.select(places::what).first(registry).await.expect("a row")
}

#[tokio::test]
async fn replacement_serves_new_sessions_and_old_ones_stay_valid() {
    let settings = BindSettings::new(database_called("old").await).max_connections(3);
    let registry = Registry::builder().bind("default", settings).build().expect("good settings");
    let old = registry.engine("default").expect("there");
    let mut lent = registry.session_for::<places::table>().await.expect("a session");

    registry.replace_engine("default", database_called("new").await).expect("replaced");
    assert_eq!(what(&registry).await, "new");
    let seen: String = places::table.select(places::what).first(&mut lent).await.expect("a row");
    assert_eq!(seen, "old");
    let new = registry.engine("default").expect("there");
    assert_ne!(old, new);
    assert_eq!(new.options().max_connections, 3, "what is not said stays");
    assert_eq!((old.status().in_use, old.status().idle), (1, 0));
    drop(lent);
    eventually(|| old.status().in_use == 0 && old.status().idle == 0).await;

    for name in ["third", "fourth"] {
        registry.replace_engine("default", database_called(name).await).expect("replaced");
        assert_eq!(what(&registry).await, name);
    }
}

#[tokio::test]
async fn callers_waiting_for_the_replaced_engine_get_sessions_of_the_new_one() {
    let settings = BindSettings::new(database_called("old").await).max_connections(1);
    let registry = Registry::builder().bind("default", settings).build().expect("good settings");
    let lent = registry.session_for::<places::table>().await.expect("a session");
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let registry = registry.clone();
            tokio::spawn(async move { what(&registry).await })
        })
        .collect();
    let old = registry.engine("default").expect("there");
    eventually(|| old.status().waiting == 4).await;
    registry.replace_engine("default", database_called("new").await).expect("replaced");
    for waiting in waiting {
        assert_eq!(waiting.await.expect("no panic"), "new");
    }
    drop(lent);
}

#[tokio::test]
async fn closing_waits_for_sessions_of_replaced_engines() {
    let settings = BindSettings::new(database_called("old").await);
    let registry = Registry::builder().bind("default", settings).build().expect("good settings");
    let lent = registry.session_for::<places::table>().await.expect("a session");
    registry.replace_engine("default", database_called("new").await).expect("replaced");
    let report = registry.close_within(std::time::Duration::from_millis(20)).await;
    assert_eq!(report.lent.len(), 1);
    drop(lent);
    assert!(registry.close().await.is_complete());
    let error = registry.replace_engine("default", database()).unwrap_err();
    assert!(matches!(error, ReplaceError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn invalid_replacement_changes_nothing() {
    let settings = BindSettings::new(database_called("old").await);
    let registry = Registry::builder().bind("default", settings).build().expect("good settings");
    let error = registry.replace_engine("defualt", database()).unwrap_err();
    assert!(error.to_string().ends_with("did you mean `default`?"), "{error}");
    let error = registry.replace_engine("default", "nonsense").unwrap_err();
    assert!(matches!(error, ReplaceError::Settings { .. }), "{error}");
    let other =
        if database().starts_with("sqlite") { "postgres://h/db" } else { "sqlite::memory:" };
    let error = registry.replace_engine("default", other).unwrap_err();
    assert!(matches!(error, ReplaceError::WrongBackend(_)), "{error}");
    let error = registry.replace_engine("default", tenants([])).unwrap_err();
    assert!(matches!(error, ReplaceError::Tenants { is_per_tenant: false, .. }), "{error}");
    assert_eq!(what(&registry).await, "old");
}

#[tokio::test]
async fn replacement_applies_to_the_engines_of_every_tenant() {
    let registry = Registry::builder()
        .bind("crm", tenants(["acme", "globex"]))
        .build()
        .expect("good settings");
    let of = async |name: &str, what: Option<&str>| {
        let tenant = registry.tenant(name).expect("a good name");
        if let Some(what) = what {
            let mut session = tenant.session_for::<own_places::table>().await.expect("a session");
            session.batch_execute(CREATE).await.expect("a table");
            let row = (own_places::id.eq(1), own_places::what.eq(what));
            diesel::insert_into(own_places::table)
                .values(row)
                .execute(&tenant)
                .await
                .expect("a row");
        }
        let seen: Vec<String> =
            own_places::table.select(own_places::what).load(&tenant).await.expect("rows");
        seen.concat()
    };
    for name in ["acme", "globex"] {
        assert_eq!(of(name, Some(&format!("old {name}"))).await, format!("old {name}"));
    }
    let acme = registry.tenant("acme").expect("a good name");
    let mut lent = acme.session_for::<own_places::table>().await.expect("a session");
    registry.replace_engine("crm", tenants(["acme", "globex"])).expect("replaced");
    for name in ["acme", "globex"] {
        assert_eq!(of(name, Some(&format!("new {name}"))).await, format!("new {name}"));
    }
    let seen: String =
        own_places::table.select(own_places::what).first(&mut lent).await.expect("a row");
    assert_eq!(seen, "old acme");
    let error = registry.replace_engine("crm", database()).unwrap_err();
    assert!(matches!(error, ReplaceError::Tenants { is_per_tenant: true, .. }), "{error}");
}

/// A caller that resolved the settings of a tenant before the replacement must not open an engine with the old ones.
#[tokio::test]
async fn engine_opened_during_a_replacement_uses_the_new_settings() {
    let names = ["acme", "globex"];
    let builder = Registry::builder().bind("crm", tenants(names)).max_engines(1);
    let registry = builder.build().expect("good settings");
    let [acme, globex] = names.map(|name| registry.tenant(name).expect("a good name"));
    let lent = globex.session_for::<own_places::table>().await.expect("a session");
    let other = acme.clone();
    let mut waiting = Box::pin(async move { other.session_for::<own_places::table>().await });
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let new = tenants(names);
    registry.replace_engine("crm", new.as_str()).expect("replaced");
    drop(lent);
    // The caller had resolved the old URL of acme; its session is on the new one.
    let first = waiting.await.expect("a session");
    let template = registry_core::DatabaseUrl::parse(&new.replace("{tenant}", "acme"));
    let expected = template.expect("a URL").to_string();
    for _ in 0..2 {
        let open = registry.status().on_demand.engines.swap_remove(0).engine.url.to_string();
        assert!(open.starts_with(&expected), "{open} is not {expected}");
        drop(acme.session_for::<own_places::table>().await.expect("a session"));
    }
    drop(first);
}
