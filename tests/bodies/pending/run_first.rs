//! `when_pending = "migrate"`: the migrations of a tenant are run before its first session.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;
use crate::support::causes;

/// A registry whose only migration is held by the test.
fn held(settings: BindSettings) -> (Registry, Held) {
    let held = Held::default();
    let builder = Registry::builder().bind("crm", settings).migrations::<Crm>(held.clone());
    (builder.build().expect("good settings"), held)
}

/// Whether nothing is pending any more. It asks around the gate.
async fn is_migrated(tenant: &Tenant, held: &Held) -> bool {
    tenant.migrations::<Crm>(held.clone()).pending().await.expect("known").is_empty()
}

#[tokio::test]
async fn first_use_of_a_tenant_migrates_it() {
    let registry = registry(settings(&["acme", "globex"], WhenPending::Migrate));
    let acme = tenant(&registry, "acme");
    assert_eq!(rows(&acme).await.expect("a row"), 1);
    let globex = tenant(&registry, "globex");
    assert_eq!(globex.migrations::<Crm>(steps()).pending().await.expect("known").len(), 2);
    globex.reader().session::<Crm>().await.expect("a reader migrates, too");
    assert_eq!(rows(&globex).await.expect("a row"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_run_the_migrations_once() {
    let (registry, held) = held(settings(&["acme"], WhenPending::Migrate));
    let gate = held.hold();
    let callers: Vec<_> = (0..50)
        .map(|at| {
            let acme = tenant(&registry, "acme");
            tokio::spawn(async move {
                match at % 2 {
                    0 => rows(&acme).await,
                    _ => invoices::table.count().get_result(acme.reader()).await,
                }
            })
        })
        .collect();
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(held.has_begun());
        drop(gate);
    });
    for rows in join_all(callers).await {
        assert_eq!(rows.expect("it ends").expect("a session"), 0);
    }
    assert_eq!(held.runs(), 1);
    let listed = held.listed();
    assert_eq!(listed, 2, "one check, and the run");
    rows(&tenant(&registry, "acme")).await.expect("a session");
    assert_eq!(held.listed(), listed, "an engine is checked once, and not for each session");
}

/// All of a migration that is held, from its begin to its release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_go_on_when_their_caller_leaves() {
    let (registry, held) = held(settings(&["acme"], WhenPending::Migrate));
    let acme = tenant(&registry, "acme");
    {
        let gate = held.hold();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let leaves = acme.session::<Crm>();
                tokio::select! {
                    _ = leaves => panic!("it has a session before its migrations ended"),
                    () = held.has_begun() => {}
                }
            });
        });
        drop(gate);
    }
    while !is_migrated(&acme, &held).await {
        tokio::task::yield_now().await;
    }
    assert_eq!(rows(&acme).await.expect("a session"), 0);
    assert_eq!(held.runs(), 1);
}

/// As a request that is cut off at once.
#[tokio::test]
async fn a_caller_that_leaves_at_once_leaves_the_tenant_migrated() {
    let (registry, held) = held(settings(&["acme"], WhenPending::Migrate));
    let acme = tenant(&registry, "acme");
    // The engine is open, so that the first poll begins the check.
    acme.migrations::<Crm>(held.clone()).pending().await.expect("known");
    assert!(acme.session::<Crm>().now_or_never().is_none(), "nothing is ready at once");
    let migrated = async {
        while !is_migrated(&acme, &held).await {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, migrated).await.expect("the check has gone on");
    assert_eq!(held.runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_caller_waits_as_long_as_it_wants_to() {
    let settings = settings(&["acme"], WhenPending::Migrate);
    let (registry, held) = held(settings.acquire_timeout(Duration::from_millis(300)));
    let acme = tenant(&registry, "acme");
    let gate = held.hold();
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(async {
            let patient = acme.session::<Crm>().within(Duration::from_secs(60));
            let mut patient = std::pin::pin!(patient);
            let hasty = async {
                let error = acme.session::<Crm>().within(Duration::from_millis(20)).await;
                let error = error.unwrap_err();
                assert!(error.is_timeout() && error.is_transient(), "{error}");
                assert_eq!(
                    error.to_string(),
                    "bind `crm`: timed out after 20ms waiting for the migrations of tenant `acme` to be checked and \
                     run, which goes on"
                );
                let error = acme.session::<Crm>().await.unwrap_err();
                let AcquireError::MigrationsTimedOut { tenant, after, .. } = error else {
                    panic!("{error:?}");
                };
                assert_eq!((&*tenant, after), ("acme", Duration::from_millis(300)));
                held.has_begun().await;
            };
            tokio::select! {
                _ = &mut patient => panic!("it has a session before its migrations ended"),
                () = hasty => {}
            }
            drop(gate);
            patient.await.expect("a session");
        });
    });
    assert_eq!(held.runs(), 1);
}

#[tokio::test]
async fn a_migration_that_fails_is_the_error_of_its_tenant_alone() {
    let (registry, held) = held(settings(&["acme", "globex"], WhenPending::Migrate));
    let (acme, globex) = (tenant(&registry, "acme"), tenant(&registry, "globex"));
    held.fail(true);
    for _ in 0..2 {
        let error = acme.session::<Crm>().await.unwrap_err();
        assert!(matches!(error, AcquireError::Migrations { .. }), "{error:?}");
        assert_eq!(
            causes(&error),
            [
                "bind `crm`: the migrations of tenant `acme` could not be checked or run",
                "bind `crm`: the migration `20260101000000_invoices` failed, after 0 had been run",
                "the migration fails",
            ]
        );
    }
    held.fail(false);
    assert_eq!(rows(&globex).await.expect("a session"), 0);
    assert_eq!(rows(&acme).await.expect("it is tried again"), 0);
    assert_eq!(held.runs(), 4);
}

/// Units of work and readers of several tenants, which all come first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_migrated_at_the_same_time() {
    let names = ["acme", "globex", "initech", "umbrella"];
    let registry = registry(settings(&names, WhenPending::Migrate));
    let callers = names.iter().cycle().take(24).map(|name| {
        let tenant = tenant(&registry, name);
        async move { rows(&tenant).await }.boxed()
    });
    for rows in join_all(callers).await {
        assert_eq!(rows.expect("a session"), 1);
    }
}
