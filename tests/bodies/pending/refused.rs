//! Tenants that are refused, or served, without that anything is run.

use registry_core::{MigrateError, WhenUnknown};

use super::held::HeldAfterRead;
use super::*;
use crate::support::log::own_log;

/// The state that a later version of the program would have left.
async fn migrated_by_a_later_program(settings: &BindSettings, name: &str) {
    let later = Registry::builder().bind("crm", settings.clone()).build().expect("good settings");
    let next = step("20260301000000_next", "SELECT 1");
    let all = Steps(vec![CREATE, FILL, next]);
    tenant(&later, name).migrate::<Crm>(all).await.expect("they run");
}

#[tokio::test]
async fn the_error_names_the_tenant_and_what_is_pending() {
    let registry = registry(settings(&["acme"], WhenPending::Fail));
    let error = tenant(&registry, "acme").session::<Crm>().await.unwrap_err();
    assert_eq!(error.key(), "crm");
    assert!(!error.is_transient() && !error.is_timeout());
    assert_eq!(
        error.to_string(),
        "bind `crm`: tenant `acme` has pending migrations (`20260101000000_invoices`, `20260201000000_fill`): run \
         them, or say `when_pending = \"migrate\"`"
    );
    let unknown = tenant(&registry, "nobody").session::<Crm>().await.unwrap_err();
    assert!(matches!(unknown, AcquireError::UnknownTenant { .. }), "{unknown:?}");
}

#[tokio::test]
async fn failing_is_the_default_and_only_where_the_migrations_are_told() {
    let settings = tenant_settings(["acme"]);
    let untold = Registry::builder().bind("crm", settings.clone()).build().expect("good settings");
    tenant(&untold, "acme").session::<Crm>().await.expect("nothing is known");
    let told = registry(settings);
    assert_eq!(pending(tenant(&told, "acme").session::<Crm>().await.unwrap_err()).len(), 2);
}

#[tokio::test]
async fn a_refused_tenant_is_served_after_another_process_has_migrated_it() {
    let settings = settings(&["acme"], WhenPending::Fail);
    let registry = registry(settings.clone());
    let acme = tenant(&registry, "acme");
    acme.session::<Crm>().await.unwrap_err();
    let other = Registry::builder().bind("crm", settings).build().expect("good settings");
    tenant(&other, "acme").migrate::<Crm>(Steps(vec![CREATE])).await.expect("it runs");
    assert_eq!(pending(acme.session::<Crm>().await.unwrap_err()), [FILL.name]);
    tenant(&other, "acme").migrate::<Crm>(steps()).await.expect("it runs");
    assert_eq!(rows(&acme).await.expect("a session"), 1);
}

/// A check that has begun before the run may have found what the run has changed since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_from_before_the_run_refuses_nobody_who_comes_after_it() {
    let settings = settings(&["acme"], WhenPending::Fail);
    let held = HeldAfterRead::default();
    let registry = Registry::builder()
        .bind("crm", settings.clone())
        .migrations::<Crm>(held.clone())
        .build()
        .expect("good settings");
    let acme = tenant(&registry, "acme");
    let early = tokio::spawn({
        let acme = acme.clone();
        async move { acme.session::<Crm>().await.map(drop) }
    });
    tokio::task::block_in_place(|| {
        let hold = held.0.hold();
        tokio::runtime::Handle::current().block_on(async {
            held.0.has_begun().await;
            acme.migrate::<Crm>(Steps(vec![CREATE])).await.expect("it runs in this process");
            let mut late = std::pin::pin!(acme.session::<Crm>());
            let joined = std::future::poll_fn(|context| {
                std::task::Poll::Ready(late.as_mut().poll(context).is_pending())
            });
            assert!(joined.await, "it waits for the check that runs");
            drop(hold);
            late.await.expect("it came after the run");
        });
    });
    assert_eq!(pending(early.await.expect("it ends").unwrap_err()), [CREATE.name]);
    assert_eq!(held.0.listed(), 2);
}

#[tokio::test]
async fn serving_asks_nothing() {
    let held = Held::default();
    let registry = Registry::builder()
        .bind("crm", settings(&["acme"], WhenPending::Serve))
        .migrations::<Crm>(held.clone())
        .build()
        .expect("good settings");
    tenant(&registry, "acme").session::<Crm>().await.expect("a session");
    assert_eq!((held.listed(), held.runs()), (0, 0));
}

#[tokio::test]
async fn creating_and_dropping_go_around_the_gate() {
    let registry = registry(settings(&[], WhenPending::Fail));
    registry.create_tenant::<Crm>("acme", Steps(vec![CREATE])).await.expect("it is new");
    let acme = tenant(&registry, "acme");
    assert_eq!(pending(acme.session::<Crm>().await.unwrap_err()), [FILL.name]);
    registry.drop_tenant::<Crm>("acme", "acme").await.expect("nobody uses it");
    registry.create_tenant::<Crm>("acme", steps()).await.expect("it is new");
    assert_eq!(rows(&acme).await.expect("a session"), 1);

    // What was found of the tenant before it was dropped says nothing of the new one.
    registry.drop_tenant::<Crm>("acme", "acme").await.expect("nobody uses it");
    registry.create_tenant::<Crm>("acme", Steps(vec![CREATE])).await.expect("it is new");
    assert_eq!(pending(acme.session::<Crm>().await.unwrap_err()), [FILL.name]);
}

#[tokio::test]
async fn closing_a_tenant_has_it_checked_again() {
    let settings = settings(&["acme"], WhenPending::Fail);
    let registry = registry(settings.clone());
    let acme = tenant(&registry, "acme");
    acme.migrate::<Crm>(steps()).await.expect("they run");
    assert_eq!(rows(&acme).await.expect("a session"), 1);
    let other = Registry::builder().bind("crm", settings).build().expect("good settings");
    let elsewhere =
        tenant(&other, "acme").migrations::<Crm>(Steps(vec![CREATE, FILL.down("SELECT 1")]));
    elsewhere.revert(1).await.expect("it can be reverted");
    assert_eq!(rows(&acme).await.expect("it was checked before"), 1);
    registry.close_tenant("acme").await.expect("a good name");
    assert_eq!(pending(acme.session::<Crm>().await.unwrap_err()), [FILL.name]);
}

#[tokio::test]
async fn reverting_in_this_process_closes_the_gate_again() {
    let registry = registry(settings(&["acme"], WhenPending::Fail));
    let acme = tenant(&registry, "acme");
    let reversible = || {
        let fill = FILL.down("DELETE FROM invoices");
        acme.migrations::<Crm>(Steps(vec![CREATE.down("DROP TABLE invoices"), fill]))
    };
    reversible().run().await.expect("they run");
    assert_eq!(rows(&acme).await.expect("a session"), 1);
    reversible().revert(1).await.expect("it can be reverted");
    assert_eq!(pending(acme.session::<Crm>().await.unwrap_err()), [FILL.name]);
    reversible().run().await.expect("it runs");
    assert_eq!(rows(&acme).await.expect("a session"), 1);
}

#[tokio::test]
async fn unknown_migrations_are_a_warning_or_an_error() {
    let settings = settings(&["acme"], WhenPending::Fail);
    migrated_by_a_later_program(&settings, "acme").await;

    let (log, _guard) = own_log();
    let warned = registry(settings.clone());
    assert_eq!(rows(&tenant(&warned, "acme")).await.expect("a session"), 1);
    assert_eq!(rows(&tenant(&warned, "acme")).await.expect("a session"), 1);
    let lines = log.lines_with("that the program does not have");
    assert_eq!(lines.len(), 1, "once for an engine: {lines:?}");
    for part in ["WARN", "crm", "acme", "20260301000000_next"] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }

    let refused = registry(settings.when_unknown(WhenUnknown::Fail));
    let error = tenant(&refused, "acme").session::<Crm>().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "bind `crm`: tenant `acme` has run migrations that the program does not have (`20260301000000_next`), and \
         `when_unknown` is \"fail\""
    );
    assert!(matches!(error, AcquireError::UnknownMigrations { .. }), "{error:?}");
}

/// Two of one version, so that the source is a mistake.
#[tokio::test]
async fn a_source_that_cannot_be_read_is_the_cause() {
    let twice = Steps(vec![CREATE, step("20260101000000_other", "SELECT 1")]);
    let registry = Registry::builder()
        .bind("crm", settings(&["acme"], WhenPending::Fail))
        .migrations::<Crm>(twice)
        .build()
        .expect("good settings");
    let error = tenant(&registry, "acme").session::<Crm>().await.unwrap_err();
    let AcquireError::Migrations { source, .. } = &error else { panic!("{error:?}") };
    let cause = source.downcast_ref::<MigrateError>();
    assert!(matches!(cause, Some(MigrateError::SameVersion { .. })), "{error:?}");
}

#[tokio::test]
async fn test_isolation_has_the_same_gate_and_commits_nothing() {
    let registry = registry(settings(&["acme", "globex"], WhenPending::Migrate));
    let acme = tenant(&registry, "acme");
    assert_eq!(rows(&acme).await.expect("a session"), 1);
    let isolated = registry.test_isolation().await.expect("copies");
    assert_eq!(rows(&tenant(&isolated, "acme")).await.expect("a session"), 1);
    let globex = rows(&tenant(&isolated, "globex")).await;
    match NAME {
        // The copy of a file is the test's own, and migrated like any file.
        "sqlite" => assert_eq!(globex.expect("a session"), 1),
        _ => assert_eq!(pending_of(globex.unwrap_err()).len(), 2),
    }
    let original = tenant(&registry, "globex").migrations::<Crm>(steps()).pending().await;
    assert_eq!(original.expect("known").len(), 2);
}
