//! Mistakes in what the registry's builder is told about migrations, and in their options.

use registry_core::{
    AcquireError, BindSettings, Registry, RegistryBuilder, ReplaceError, TenantResolver,
    WhenPending, bind_tables, binds,
};

use crate::support::steps::{Step, Steps, step};
use crate::support::{causes, fresh_folder, postgres};

binds! {
    Crm: Sqlite = "crm";
    Shop: Postgres = "shop";
}

diesel::table! {
    lines (id) {
        id -> Integer,
    }
}
bind_tables!(db = "crm", backend = Sqlite; lines);

const FIRST: Step = step("1_first", "CREATE TABLE first (id INTEGER PRIMARY KEY)");

fn steps() -> Steps {
    Steps(vec![FIRST])
}

fn problems(builder: RegistryBuilder) -> Vec<String> {
    let error = builder.build().expect_err("there is a mistake");
    error.to_string().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn migrations_of_no_bind_are_an_error_that_lists_the_binds() {
    let builder = Registry::builder().bind("crn", "sqlite::memory:").migrations::<Crm>(steps());
    assert_eq!(
        problems(builder),
        [
            "migrations of \"crm\": the settings have no bind `crm`; they have `crn`; did you mean `crn`?"
        ]
    );
}

#[test]
fn migrations_for_another_backend_and_told_twice_are_errors() {
    let builder = Registry::builder()
        .bind("crm", "sqlite::memory:")
        .bind("shop", "sqlite::memory:")
        .migrations::<Crm>(steps())
        .migrations::<Crm>(steps())
        .migrations::<Shop>(steps());
    assert_eq!(
        problems(builder),
        [
            "migrations of \"crm\": given twice: put them into one source",
            "migrations of \"shop\": bind `shop`: the program expects PostgreSQL, but the settings give it a SQLite URL",
        ]
    );
}

/// Its backend is known only when it answers.
#[tokio::test]
async fn answer_of_a_resolver_for_another_backend_is_an_error_of_its_tenant() {
    let resolver = TenantResolver::new(|_: &_| async {
        Ok::<_, std::io::Error>(BindSettings::new("sqlite::memory:"))
    });
    let builder = Registry::builder().tenants("shop", resolver).migrations::<Shop>(steps());
    let registry = builder.build().expect("good settings");
    let error = registry.tenant("acme").expect("a name").session::<Shop>().await.unwrap_err();
    assert!(matches!(error, AcquireError::WrongBackend(_)), "{error:?}");
}

#[tokio::test]
async fn settings_of_a_call_are_held_to_the_same_rules() {
    let migrating = |url: &str| BindSettings::new(url).when_pending(WhenPending::Migrate);
    let url = format!("sqlite://{}/{{tenant}}.db", fresh_folder().display());
    let registry = Registry::builder()
        .bind("crm", migrating(&url))
        .bind("shop", postgres().database("pending"))
        .migrations::<Crm>(steps())
        .build()
        .expect("good settings");
    registry.replace_engine("crm", migrating(&url)).expect("it has tenants");
    registry.replace_engine("crm", url.as_str()).expect("it has tenants");
    let error = registry.replace_engine("shop", migrating("postgres://nowhere/shop")).unwrap_err();
    assert!(matches!(error, ReplaceError::Settings { .. }), "{error:?}");
    assert!(
        causes(&error)[1].contains("settings of \"shop\".when_pending: \"migrate\""),
        "{error:?}"
    );

    // Another database than that of a tenant is not checked, and what the bind says of its tenants is no mistake there.
    let other = format!("sqlite://{}/other.db", fresh_folder().display());
    registry.session_by_url::<lines::table>(other.as_str()).await.expect("a session");
}
