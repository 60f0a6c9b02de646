//! A session of an engine that was opened on demand, beside one of a bind that is named in the settings.
//!
//! The databases are SQLite files, so that there can be thousands. Of all tenants that are known, ten are
//! warm: those of the others have been opened and closed their connections since.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use registry_core::{BindSettings, DatabaseUrl, Registry, Tenant, bind};
use tokio::sync::OnceCell;

use crate::case::{Case, Outcome, Subject, Worker};
use crate::places::Place;

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
async fn registry(folder: &Path, known: usize) -> Registry {
    let at = |name: &str| {
        let url = format!("sqlite://{}/{name}.db?mode=rwc", folder.display());
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
        let file = folder.join(format!("{}.db", name(number)));
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

/// Its subjects share the registry, and so a process.
pub(crate) fn cases() -> Vec<Case> {
    KNOWN.iter().map(|(name, known)| case(name, *known)).collect()
}

fn case(case: &'static str, known: usize) -> Case {
    let shared: Arc<OnceCell<Shared>> = Arc::default();
    let share = move |folder: String| {
        let shared = Arc::clone(&shared);
        async move { shared.get_or_init(|| Shared::open(folder.into(), known)).await.clone() }
    };
    let named = share.clone();
    let (handles, names, urls) = (share.clone(), share.clone(), share);
    let subjects = [
        Subject::new("named", move |folder| {
            let shared = named(folder);
            async move { OfBind(shared.await.registry) }
        }),
        Subject::new("ours", move |folder| {
            let shared = handles(folder);
            async move { OfTenants(shared.await.tenants()) }
        }),
        Subject::new("ours-by-name", move |folder| {
            let shared = names(folder);
            async move { ByName(shared.await) }
        }),
        Subject::new("ours-by-url", move |folder| {
            let shared = urls(folder);
            async move { ByUrl::of(shared.await) }
        }),
    ];
    Case { is_shared: true, ..Case::new(case, 1, Place::Folder, subjects) }
}

/// A registry that knows many tenants, and the names of those that are warm.
#[derive(Clone)]
struct Shared {
    folder: PathBuf,
    registry: Registry,
    warm: Vec<String>,
}

impl Shared {
    async fn open(folder: PathBuf, known: usize) -> Self {
        let registry = registry(&folder, known).await;
        // Spread evenly over all known tenants.
        let warm = (0..WARM).map(|number| name(number * known / WARM)).collect();
        // Waits until all connections are closed, so that only those of the warm tenants are open later.
        tokio::time::sleep(2 * IDLE).await;
        Self { folder, registry, warm }
    }

    fn tenants(&self) -> Vec<Tenant> {
        self.warm.iter().map(|name| self.registry.tenant(name).expect("a good name")).collect()
    }
}

#[derive(Clone)]
struct OfBind(Registry);

impl Worker for OfBind {
    const OPERATIONS: u64 = WARM as u64;

    async fn work(&mut self, _: u64) -> Outcome {
        for _ in 0..WARM {
            black_box(&self.0.session_for::<Named>().await?);
        }
        Ok(())
    }
}

/// A worker with `Tenant` handles that it was given.
#[derive(Clone)]
struct OfTenants(Vec<Tenant>);

impl Worker for OfTenants {
    const OPERATIONS: u64 = WARM as u64;

    async fn work(&mut self, _: u64) -> Outcome {
        for tenant in &self.0 {
            black_box(&tenant.session_for::<Invoice>().await?);
        }
        Ok(())
    }
}

/// A worker that checks and looks up the name each time.
#[derive(Clone)]
struct ByName(Shared);

impl Worker for ByName {
    const OPERATIONS: u64 = WARM as u64;

    async fn work(&mut self, _: u64) -> Outcome {
        for name in &self.0.warm {
            let tenant = self.0.registry.tenant(name)?;
            black_box(&tenant.session_for::<Invoice>().await?);
        }
        Ok(())
    }
}

#[derive(Clone)]
struct ByUrl(Registry, Vec<DatabaseUrl>);

impl ByUrl {
    fn of(shared: Shared) -> Self {
        let urls = shared.warm.iter().map(|name| {
            let url = format!("sqlite://{}/{name}.db?mode=rwc", shared.folder.display());
            url.parse().expect("a URL")
        });
        Self(shared.registry, urls.collect())
    }
}

impl Worker for ByUrl {
    const OPERATIONS: u64 = WARM as u64;

    async fn work(&mut self, _: u64) -> Outcome {
        for url in &self.1 {
            let settings = BindSettings::new(url);
            black_box(&self.0.session_by_url::<Invoice>(settings).await?);
        }
        Ok(())
    }
}
