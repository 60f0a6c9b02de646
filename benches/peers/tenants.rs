//! A session of an engine that was opened on demand, beside one of a bind that is named in the settings.
//!
//! The databases are SQLite files, so that there can be thousands. Of all tenants that are known, ten are
//! warm: those of the others have been opened and closed their connections since.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{BindSettings, DatabaseUrl, Registry, Tenant, bind};
use tempfile::TempDir;

use crate::measure::{Case, Subject, Worker};

#[bind(backend = Sqlite)]
struct Named;

#[bind(db = "crm", backend = Sqlite)]
struct Invoice;

/// The number of tenants that are used in turn.
const WARM: usize = 10;

/// The idle_timeout of connections.
const IDLE: Duration = Duration::from_secs(1);

/// The number of known tenants in each case.
const KNOWN: [(&str, usize); 3] =
    [("tenant-10", 10), ("tenant-1000", 1_000), ("tenant-10000", 10_000)];

/// A registry that has opened this many tenants and has evicted none.
async fn registry(folder: &TempDir, known: usize) -> Registry {
    let at = |name: &str| {
        let url = format!("sqlite://{}/{name}.db?mode=rwc", folder.path().display());
        BindSettings::new(url).idle_timeout(IDLE)
    };
    let registry = Registry::builder()
        .bind("default", at("named"))
        .bind("crm", at("{tenant}"))
        .max_engines(20_000)
        .engine_idle_timeout(None)
        .build()
        .expect("a registry");
    for number in 0..known {
        let file = folder.path().join(format!("{}.db", name(number)));
        std::fs::write(file, "").expect("an empty database");
        let tenant = registry.tenant(&name(number)).expect("a good name");
        drop(tenant.session_for::<Invoice>().await.expect("a session"));
    }
    assert_eq!(registry.status().on_demand.engines.len(), known);
    registry
}

fn name(number: usize) -> String {
    format!("tenant-{number}")
}

pub(crate) async fn all(wanted: &[String]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (case, known) in KNOWN {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == case) {
            continue;
        }
        let folder = Arc::new(TempDir::new().expect("a folder"));
        let registry = registry(&folder, known).await;
        // Spread evenly over all known tenants.
        let warm: Vec<String> = (0..WARM).map(|number| name(number * known / WARM)).collect();
        let tenants: Vec<Tenant> =
            warm.iter().map(|name| registry.tenant(name).expect("a good name")).collect();
        let urls = warm.iter().map(|name| {
            let url = format!("sqlite://{}/{name}.db?mode=rwc", folder.path().display());
            url.parse().expect("a URL")
        });
        let urls: Vec<DatabaseUrl> = urls.collect();
        let named = registry.clone();
        let (by_name, by_url) = ((registry.clone(), warm), (registry, urls));
        cases.push(Case {
            name: case,
            tasks: 1,
            subjects: vec![
                Subject::new("named", 1, move || OfBind(named.clone(), Arc::clone(&folder))),
                Subject::new("ours", 1, move || OfTenants(tenants.clone())),
                Subject::new("ours-by-name", 1, move || {
                    ByName(by_name.0.clone(), by_name.1.clone())
                }),
                Subject::new("ours-by-url", 1, move || ByUrl(by_url.0.clone(), by_url.1.clone())),
            ],
        });
    }
    // Waits until all connections but those of the warm tenants are closed.
    if !cases.is_empty() {
        tokio::time::sleep(2 * IDLE).await;
    }
    cases
}

struct OfBind(Registry, #[expect(dead_code, reason = "it has the files")] Arc<TempDir>);

impl Worker for OfBind {
    const OPERATIONS: u64 = WARM as u64;

    async fn work(&mut self, _: u64) {
        for _ in 0..WARM {
            black_box(&self.0.session_for::<Named>().await.expect("a session"));
        }
    }
}

/// A worker with `Tenant` handles that it was given.
struct OfTenants(Vec<Tenant>);

impl Worker for OfTenants {
    const OPERATIONS: u64 = WARM as u64;

    async fn work(&mut self, _: u64) {
        for tenant in &self.0 {
            black_box(&tenant.session_for::<Invoice>().await.expect("a session"));
        }
    }
}

/// A worker that checks and looks up the name each time.
struct ByName(Registry, Vec<String>);

impl Worker for ByName {
    const OPERATIONS: u64 = WARM as u64;

    async fn work(&mut self, _: u64) {
        for name in &self.1 {
            let tenant = self.0.tenant(name).expect("a good name");
            black_box(&tenant.session_for::<Invoice>().await.expect("a session"));
        }
    }
}

struct ByUrl(Registry, Vec<DatabaseUrl>);

impl Worker for ByUrl {
    const OPERATIONS: u64 = WARM as u64;

    async fn work(&mut self, _: u64) {
        for url in &self.1 {
            let settings = BindSettings::new(url);
            black_box(&self.0.session_by_url::<Invoice>(settings).await.expect("a session"));
        }
    }
}
