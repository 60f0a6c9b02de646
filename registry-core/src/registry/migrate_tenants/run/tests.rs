use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::{pending, ready};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::Notify;

use super::{Intake, REMEMBERED, Run, Task};
use crate::registry::migrate_tenants::report::{TenantOutcome, TenantResult};
use crate::registry::migrate_tenants::{MigrateTenantsReport, TenantNames};
use crate::settings::BindKey;

/// Runs over `names`, with two tenants at once. `migrate` says whether a tenant has to wait until `release`, and
/// `on_outcome` may notify that.
async fn run(
    names: impl TenantNames,
    waits: fn(&str) -> bool,
    release: Arc<Notify>,
    on_outcome: impl FnMut(&TenantOutcome) + Send + 'static,
) -> MigrateTenantsReport {
    let task = Task {
        key: BindKey::DEFAULT,
        names: Intake::new(names.into_names()),
        migrate: Box::new(move |tenant| {
            let release = Arc::clone(&release);
            match waits(&tenant) {
                true => async move {
                    release.notified().await;
                    TenantResult::UpToDate
                }
                .boxed(),
                false => ready(TenantResult::UpToDate).boxed(),
            }
        }),
        jobs: 2,
        canaries: 0,
        keep_going: false,
        ledger: None,
        on_outcome: Some(Box::new(on_outcome)),
        stop: pending().boxed(),
    };
    Run::new(task).run().await.expect("all are up to date")
}

/// Its name is not among the last names any more, and it runs still.
#[tokio::test]
async fn name_of_a_running_tenant_is_not_begun_again() {
    let others = (0..REMEMBERED).map(|number| format!("other-{number}"));
    let names: Vec<String> =
        ["slow".to_owned()].into_iter().chain(others).chain(["slow".to_owned()]).collect();
    let release = Arc::new(Notify::new());
    let repeated = Arc::new(Mutex::new(Vec::new()));
    let on_outcome = {
        let (release, repeated) = (Arc::clone(&release), Arc::clone(&repeated));
        move |outcome: &TenantOutcome| {
            if matches!(outcome.result, TenantResult::Repeated) {
                repeated.lock().expect("no panic").push(outcome.tenant.clone());
                release.notify_one();
            }
        }
    };
    let report = run(stream::iter(names), |name| name == "slow", release, on_outcome).await;
    assert_eq!(*repeated.lock().expect("no panic"), ["slow"]);
    assert_eq!((report.up_to_date, report.repeated), (REMEMBERED as u64 + 1, 1));
}

#[tokio::test]
async fn names_are_read_only_as_far_as_tenants_can_be_begun() {
    const NAMES: usize = 50_000;
    let (taken, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most = Arc::new(AtomicUsize::new(0));
    let names = stream::iter((0..NAMES).map(|number| format!("t{number}"))).inspect({
        let (taken, ended, most) = (Arc::clone(&taken), Arc::clone(&ended), Arc::clone(&most));
        move |_| {
            let taken = taken.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(taken - ended.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
    let on_outcome = {
        let ended = Arc::clone(&ended);
        move |_: &TenantOutcome| {
            ended.fetch_add(1, Ordering::SeqCst);
        }
    };
    let report = run(names, |_| false, Arc::default(), on_outcome).await;
    assert_eq!(report.up_to_date, NAMES as u64);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}
