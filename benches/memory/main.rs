//! The memory that engines opened on demand take:
//!
//! ```sh
//! cargo bench --manifest-path benches/Cargo.toml --bench memory
//! ```
//!
//! `engines-10000` opens ten thousand engines, SQLite files, waits until their connections are closed for
//! want of use, and divides what the process has grown by. `tenants-1000000` uses a million tenants one
//! after another, through at most 64 engines, and shows how large the process is on the way. Both go by the
//! resident set that Linux reports, in which the allocator's own keep is included.

use std::time::{Duration, Instant};

use registry_core::{BindSettings, Registry, bind};

#[bind(db = "crm", backend = Sqlite)]
struct Invoice;

const ENGINES: u32 = 10_000;
const TENANTS: u32 = 1_000_000;

/// The most bytes per engine.
const ENGINE_BAR: f64 = 8.0 * 1024.0;

/// The most that a million tenants may add to the size after the first hundred thousand, as a share of it.
const GROWTH_BAR: f64 = 0.05;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        engines().await;
        tenants().await;
    });
}

async fn engines() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/{{tenant}}.db?mode=rwc", folder.path().display());
    let settings = BindSettings::new(url).idle_timeout(Duration::from_millis(200));
    let registry = Registry::builder()
        .bind("crm", settings)
        .max_engines(2 * ENGINES)
        .engine_idle_timeout(None)
        .build()
        .expect("a registry");
    for number in 0..100 + ENGINES {
        let file = folder.path().join(format!("tenant-{number}.db"));
        std::fs::write(file, "").expect("an empty database");
    }
    // The first engines allocate what is needed only once.
    visit(&registry, 0..100).await;
    let before = settled(&registry).await;
    visit(&registry, 100..100 + ENGINES).await;
    let after = settled(&registry).await;
    assert_eq!(registry.status().on_demand.engines.len(), ENGINES as usize + 100);
    let each = (after - before) / f64::from(ENGINES);
    println!(
        "engines-10000    {each:>8.0} bytes each          {}",
        word(each <= ENGINE_BAR, "at most 8192")
    );
}

/// The size once no connection is open any more.
async fn settled(registry: &Registry) -> f64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    while registry.status().on_demand.engines.iter().any(|engine| engine.engine.idle > 0) {
        assert!(Instant::now() < deadline, "connections are open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    resident()
}

async fn tenants() {
    // In memory, as a million files would measure the file system.
    let url = "sqlite:file:{tenant}?mode=memory";
    let registry = Registry::builder().bind("crm", url).build().expect("a registry");
    let mut sizes = Vec::new();
    for step in 0..10 {
        visit(&registry, step * TENANTS / 10..(step + 1) * TENANTS / 10).await;
        sizes.push(resident());
        println!(
            "tenants-1000000  {:>8} tenants {:>8.1} MiB",
            (step + 1) * TENANTS / 10,
            resident() / (1024.0 * 1024.0)
        );
    }
    let growth = sizes[9] / sizes[0] - 1.0;
    println!(
        "tenants-1000000  {:>+8.1} % after the first tenth  {}",
        growth * 100.0,
        word(growth <= GROWTH_BAR, "at most +5 %")
    );
    let status = registry.status().on_demand;
    assert_eq!(status.misses, u64::from(TENANTS));
}

async fn visit(registry: &Registry, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let tenant = registry.tenant(&format!("tenant-{number}")).expect("a good name");
        drop(tenant.session_for::<Invoice>().await.expect("a session"));
    }
}

fn word(is_met: bool, bar: &str) -> String {
    format!("{bar}: {}", if is_met { "met" } else { "missed" })
}

/// The resident set of this process, in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    let kibibytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok());
    kibibytes.expect("a number") * 1024.0
}
