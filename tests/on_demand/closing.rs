//! Closing a registry while callers wait for code of the program: a resolver or a source of credentials.

use std::time::Duration;

use registry_core::{
    AcquireError, BindSettings, Credentials, Error, Registry, Tenant, TenantResolver, binds,
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::support::backends::sqlite;
use crate::support::eventually;

binds! {
    Crm: Postgres = "crm";
    Files: Sqlite = "files";
}

const CALLERS: usize = 30;

/// The limit for things that are due immediately, far below any time-out.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A URL that is never connected to.
const URL: &str = "postgres://app@127.0.0.1:9/app";

fn bind() -> BindSettings {
    BindSettings::new(URL)
        .connect_timeout(Duration::from_secs(60))
        .acquire_timeout(Duration::from_secs(60))
}

type Waiting = JoinHandle<Result<(), AcquireError>>;

/// Spawns a task that waits for a session.
async fn waiting(
    acquire: impl Future<Output = Result<(), AcquireError>> + Send + 'static,
) -> Waiting {
    let mut acquire = Box::pin(acquire);
    assert!(futures_util::poll!(&mut acquire).is_pending());
    tokio::spawn(acquire)
}

async fn assert_told(callers: Vec<Waiting>, registry: &Registry) {
    let closing = tokio::time::timeout(AT_ONCE, registry.close_within(AT_ONCE)).await;
    assert!(closing.expect("at once").is_complete());
    for caller in callers {
        let outcome = tokio::time::timeout(AT_ONCE, caller).await.expect("at once");
        let outcome = outcome.expect("no panic");
        assert!(matches!(outcome, Err(AcquireError::Closed { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn closing_ends_waits_for_a_resolver() {
    let resolver =
        TenantResolver::new(|_: &Tenant| std::future::pending::<Result<BindSettings, Error>>());
    let registry = Registry::builder().tenants("crm", resolver).build().expect("good settings");
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let tenant = registry.tenant(&format!("t{}", number % 3)).expect("a good name");
        callers.push(waiting(async move { tenant.session::<Crm>().await.map(drop) }).await);
    }
    assert_told(callers, &registry).await;
}

#[tokio::test]
async fn closing_ends_waits_for_credentials() {
    let registry = Registry::builder()
        .bind("crm", bind().max_connections(4))
        .credentials("crm", |_| std::future::pending::<Result<Credentials, Error>>())
        .build()
        .expect("good settings");
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let registry = registry.clone();
        callers.push(waiting(async move { registry.session::<Crm>().await.map(drop) }).await);
    }
    assert_told(callers, &registry).await;
}

#[tokio::test]
async fn closed_or_dropped_registry_of_tenants_leaves_no_task() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    for is_closed in [true, false] {
        let url = sqlite::tenants(["acme", "globex"]);
        let registry =
            Registry::builder().bind("files", url).max_engines(1).build().expect("good settings");
        for name in ["acme", "globex"] {
            let tenant = registry.tenant(name).expect("a good name");
            drop(tenant.session::<Files>().await.expect("a session"));
        }
        assert!(tasks() > 0, "idle engines are looked for");
        if is_closed {
            assert!(registry.close().await.is_complete());
            eventually(|| tasks() == 0).await;
        }
        drop(registry);
        eventually(|| tasks() == 0).await;
    }
}
