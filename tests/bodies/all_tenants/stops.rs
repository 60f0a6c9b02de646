//! When a run stops, and what it does not begin then.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use registry_core::MigrateTenantsError;
use registry_core::tenant::{TenantResult, tenant_names};
use tokio::sync::Notify;

use super::{
    Crm, Gated, Main, Outcomes, RUNS, SECOND, TAKEN, break_tenant, databases, mend_tenant, names,
    registry, runs,
};
use crate::support::causes;
use crate::support::steps::{Steps, step};

/// The report in an error of a run.
fn failed(
    result: std::result::Result<registry_core::MigrateTenantsReport, MigrateTenantsError>,
) -> MigrateTenantsError {
    result.expect_err("not all are migrated")
}

#[tokio::test]
async fn nothing_is_begun_after_a_failure() {
    let registry = registry(&databases(6));
    break_tenant(&registry, "t3").await;
    let outcomes = Outcomes::default();
    let run = registry
        .migrate_tenants::<Crm>(tenant_names(names(6)), Steps(vec![RUNS, SECOND, TAKEN]))
        .jobs(1)
        .on_outcome(outcomes.note());
    let error = failed(run.await);
    let report = error.report().expect("a run");
    assert_eq!((report.applied, report.failed, report.not_reached), (2, 1, 3));
    assert_eq!(outcomes.with("failed"), ["t3"]);
    assert_eq!(outcomes.with("not reached"), ["t4", "t5", "t6"]);
    let failure = report.failures.first().expect("one");
    let shown = failure.to_string();
    assert!(
        shown.starts_with(
            "t3: failed: bind `crm`: the migration `4_taken` failed, after 2 had been run"
        ),
        "{shown}"
    );
    assert!(shown.contains("already exists") && !shown.contains('\n'), "{shown}");
    assert!(error.to_string().contains(&shown), "{error}");
    // The next run goes on where this one was.
    mend_tenant(&registry, "t3").await;
    let all =
        registry.migrate_tenants::<Crm>(tenant_names(names(6)), Steps(vec![RUNS, SECOND, TAKEN]));
    let report = all.await.expect("all are migrated");
    assert_eq!((report.applied, report.up_to_date), (4, 2));
    for name in names(6) {
        assert_eq!(runs(&registry, &name, "1 = 1").await, 1, "{name}");
    }
}

#[tokio::test]
async fn broken_tenant_is_named_with_its_cause_and_the_others_are_migrated() {
    let registry = registry(&databases(6));
    break_tenant(&registry, "t3").await;
    let given = ["t1", "t2", "no/name", "t3", "t1", "nobody", "t4", "t5", "t6"];
    let outcomes = Outcomes::default();
    let run = registry
        .migrate_tenants::<Crm>(tenant_names(given), Steps(vec![RUNS, SECOND, TAKEN]))
        .keep_going()
        .jobs(2)
        .on_outcome({
            let mut note = outcomes.note();
            move |outcome| {
                if !matches!(outcome.result, TenantResult::Repeated) {
                    note(outcome)
                }
            }
        });
    let error = failed(run.await);
    let report = error.report().expect("a run");
    assert_eq!((report.applied, report.failed, report.not_reached), (5, 3, 0));
    assert_eq!((report.repeated, report.tenants(), report.is_complete()), (1, 8, false));
    let mut broken = outcomes.with("failed");
    broken.sort();
    assert_eq!(broken, ["no/name", "nobody", "t3"]);
    for name in ["t1", "t2", "t4", "t5", "t6"] {
        assert_eq!(runs(&registry, name, "version = 2").await, 1, "{name}");
    }
    let of = |tenant: &str| {
        let one = report.failures.iter().find(|failure| failure.tenant == tenant);
        let Some(TenantResult::Failed(failure)) = one.map(|one| &one.result) else {
            panic!("{report:?}")
        };
        causes(failure)
    };
    let text = "bind `crm`: the migration `4_taken` failed, after 2 had been run";
    assert!(of("t3")[0].starts_with(text), "{:?}", of("t3"));
    assert!(of("t3")[1..].iter().any(|cause| cause.contains("already exists")), "{:?}", of("t3"));
    assert!(of("nobody").iter().any(|cause| cause.contains("`nobody`")), "{:?}", of("nobody"));
    assert!(of("no/name")[0].ends_with("character 3 is '/'"), "{:?}", of("no/name"));
    let json = serde_json::to_value(report).expect("JSON");
    let broken = json["failures"].as_array().expect("a list");
    let t3 = broken.iter().find(|failure| failure["tenant"] == "t3").expect("it failed");
    let t3 = &t3["result"]["failed"];
    assert!(t3["error"].to_string().contains(text), "{t3}");
    assert!(t3["causes"].to_string().contains("already exists"), "{t3}");
}

#[tokio::test]
async fn canaries_are_migrated_one_at_a_time_before_the_others() {
    let registry = registry(&databases(8));
    let gated = Gated::default();
    // Up to date before: it is not a canary.
    gated.release(1);
    let first = registry.tenant("t1").expect("a good name");
    first.migrate::<Crm>(gated.clone()).await.expect("it is migrated");
    let run = registry
        .migrate_tenants::<Crm>(tenant_names(names(8)), gated.clone())
        .jobs(3)
        .canary(2)
        .into_future();
    let run = tokio::spawn(run);
    for started in [2, 3] {
        crate::support::eventually(|| gated.started() == started).await;
        assert_eq!((gated.running(), gated.most()), (1, 1));
        gated.release(1);
    }
    gated.until_running(3).await;
    gated.release(5);
    let report = run.await.expect("no panic").expect("all are migrated");
    assert_eq!((report.applied, report.up_to_date, gated.most()), (7, 1, 3));
}

#[tokio::test]
async fn failed_canary_stops_the_run_even_if_it_is_to_keep_going() {
    let registry = registry(&databases(5));
    break_tenant(&registry, "t2").await;
    let outcomes = Outcomes::default();
    let run = registry
        .migrate_tenants::<Crm>(tenant_names(names(5)), Steps(vec![RUNS, TAKEN]))
        .jobs(4)
        .canary(3)
        .keep_going()
        .on_outcome(outcomes.note());
    let error = failed(run.await);
    let report = error.report().expect("a run");
    assert_eq!((report.applied, report.failed, report.not_reached), (1, 1, 3));
    assert_eq!(outcomes.with("not reached"), ["t3", "t4", "t5"]);
}

#[tokio::test]
async fn error_in_the_stream_of_names_ends_it() {
    for keeps_going in [false, true] {
        let registry = registry(&databases(3));
        let given = stream::iter([Ok("t1"), Ok("t2"), Err("the list is torn"), Ok("t3")]);
        let run = registry
            .migrate_tenants::<Crm>(given, Steps(vec![RUNS, SECOND]))
            .ledger::<Main>()
            .jobs(1);
        let run = if keeps_going { run.keep_going() } else { run };
        let error = failed(run.await);
        assert!(matches!(error, MigrateTenantsError::Names { .. }), "{error}");
        assert_eq!(causes(&error)[1..], ["the list is torn"]);
        let report = error.report().expect("a run");
        let (applied, not_reached) = if keeps_going { (2, 0) } else { (0, 2) };
        assert_eq!((report.applied, report.not_reached), (applied, not_reached), "{keeps_going}");
    }
}

#[tokio::test]
async fn panics_of_the_program_stop_the_run() {
    let registry = registry(&databases(3));
    let given = stream::iter(names(3)).map(|name| match &*name {
        "t3" => panic!("the list is torn"),
        _ => name,
    });
    let error = failed(registry.migrate_tenants::<Crm>(given, Steps(vec![RUNS])).await);
    assert!(
        error.to_string().contains("the stream of names panicked: the list is torn"),
        "{error}"
    );
    assert!(error.report().expect("a run").applied <= 2);

    let run = registry
        .migrate_tenants::<Crm>(tenant_names(names(3)), Steps(vec![RUNS, SECOND]))
        .jobs(1)
        .on_outcome(|_| panic!("the terminal is gone"));
    let error = failed(run.await);
    let report = error.report().expect("a run");
    assert!(error.to_string().contains("panicked: the terminal is gone"), "{error}");
    assert_eq!((report.applied, report.not_reached), (1, 2));

    let panics = Steps(vec![RUNS, SECOND, step("3_panics", "panic")]);
    let run = registry.migrate_tenants::<Crm>(tenant_names(names(3)), panics).keep_going();
    assert_eq!(failed(run.await).report().expect("a run").failed, 3);
}

#[tokio::test]
async fn nothing_is_begun_after_a_request_to_stop() {
    let registry = registry(&databases(6));
    let gated = Gated::default();
    let stop = Arc::new(Notify::new());
    let signal = Arc::clone(&stop);
    let outcomes = Outcomes::default();
    let run = registry
        .migrate_tenants::<Crm>(tenant_names(names(6)), gated.clone())
        .jobs(2)
        .on_outcome(outcomes.note())
        .stop_when(async move { signal.notified().await });
    let run = tokio::spawn(run.into_future());
    gated.until_running(2).await;
    stop.notify_one();
    crate::support::eventually(|| outcomes.with("not reached").len() == 4).await;
    gated.release(2);
    let error = failed(run.await.expect("no panic"));
    let report = error.report().expect("a run");
    assert_eq!((report.applied, report.not_reached, gated.started()), (2, 4, 2));
}

#[tokio::test]
async fn names_that_do_not_end_are_not_waited_for_after_a_stop() {
    let registry = registry(&databases(1));
    let endless = stream::iter(0..).map(|number| format!("x{number}"));
    for names in [stream::pending().boxed(), endless.boxed()] {
        let stop = Arc::new(Notify::new());
        let signal = Arc::clone(&stop);
        let names = stream::iter(["t1".to_owned()]).chain(names);
        let run = registry
            .migrate_tenants::<Crm>(names, Steps(vec![RUNS, SECOND]))
            .jobs(1)
            .on_outcome(move |outcome| {
                if outcome.tenant == "t1" {
                    stop.notify_one();
                }
            })
            .keep_going()
            .stop_when(async move { signal.notified().await });
        let error = failed(run.await);
        let report = error.report().expect("a run");
        assert!(report.has_unread_names && !report.is_complete(), "{report}");
        assert_eq!(report.applied + report.up_to_date, 1, "{report}");
        assert!(report.to_string().contains("names were not read"), "{report}");
    }
}

#[tokio::test]
async fn dropped_run_finishes_what_it_has_begun_and_begins_nothing_new() {
    let registry = registry(&databases(6));
    let gated = Gated::default();
    let outcomes = Outcomes::default();
    let run = registry
        .migrate_tenants::<Crm>(tenant_names(names(6)), gated.clone())
        .ledger::<Main>()
        .jobs(2)
        .on_outcome(outcomes.note());
    let run = tokio::spawn(run.into_future());
    gated.until_running(2).await;
    run.abort();
    assert!(run.await.expect_err("it is dropped").is_cancelled());
    gated.release(2);
    // The next run waits for its lease.
    gated.release(4);
    let report = registry
        .migrate_tenants::<Crm>(tenant_names(names(6)), gated.clone())
        .ledger::<Main>()
        .await
        .expect("all are migrated");
    assert_eq!((report.applied, report.up_to_date, gated.started()), (4, 2, 6));
    assert_eq!(outcomes.by_tenant().into_keys().collect::<Vec<_>>(), ["t1", "t2"]);
}
