//! The lock that lets one process at a time migrate a database, on each backend.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use diesel::connection::BoxableConnection;
use diesel::migration::{
    Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion, Result,
};
use registry_core::settings::BindSettings;
use registry_core::{Registry, bind};

use super::{Backend, NAME, database};

type Diesel = <Backend as diesel_async::AsyncConnectionCore>::Backend;

#[bind(connection = super::Backend)]
struct Model;

type Main = <Model as registry_core::Bound>::Bind;

/// A migration that reports that it runs, and then waits for the gate to open.
#[derive(Clone)]
struct Gated {
    runs: mpsc::Sender<()>,
    gate: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl MigrationSource<Diesel> for Gated {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<Diesel>>>> {
        Ok(vec![Box::new(self.clone())])
    }
}

impl Migration<Diesel> for Gated {
    fn run(&self, _: &mut dyn BoxableConnection<Diesel>) -> Result<()> {
        self.runs.send(())?;
        self.gate.lock().expect("no panic").recv()?;
        Ok(())
    }

    fn revert(&self, _: &mut dyn BoxableConnection<Diesel>) -> Result<()> {
        Ok(())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for Gated {
    // Outside a transaction, so that no row lock can stop a second process that would run it.
    fn run_in_transaction(&self) -> bool {
        false
    }
}

impl MigrationName for Gated {
    fn version(&self) -> MigrationVersion<'_> {
        "1".into()
    }
}

impl std::fmt::Display for Gated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("1_gated")
    }
}

fn registry(settings: BindSettings) -> Registry {
    Registry::builder().bind("default", settings).build().expect("good settings")
}

/// Another URL of the same database: for SQLite, another path of the same file.
fn by_another_path(url: &str) -> String {
    let Some(path) = url.strip_prefix("sqlite://") else { return url.to_owned() };
    let link = crate::support::fresh_folder().join("link.db");
    std::os::unix::fs::symlink(path, &link).expect("a link");
    format!("sqlite://{}", link.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_timeout_while_waiting_for_the_migration_lock_does_not_grant_it() {
    let url = database();
    let (runs, is_running) = mpsc::channel();
    let (open, gate) = mpsc::channel();
    let source = Gated { runs, gate: Arc::new(Mutex::new(gate)) };
    let first = registry(BindSettings::new(url.as_str()));
    let second = BindSettings::new(by_another_path(&url).as_str());
    let second = registry(match NAME {
        "postgres" => second.on_connect(["SET statement_timeout = '200ms'"]),
        "mysql" => second.on_connect(["SET SESSION max_statement_time = 0.2"]),
        _ => second,
    });
    let migrate = |registry: &Registry| {
        let (registry, source) = (registry.clone(), source.clone());
        tokio::spawn(async move { registry.migrate::<Main>(source).await })
    };
    let first = migrate(&first);
    is_running.recv_timeout(Duration::from_secs(30)).expect("it runs");
    let second = migrate(&second);
    // Far longer than the statement time-out of the second process.
    is_running.recv_timeout(Duration::from_secs(2)).expect_err("it is run by the first alone");
    for _ in 0..2 {
        open.send(()).expect("it waits");
    }
    let mut applied = Vec::new();
    for task in [first, second] {
        applied.push(task.await.expect("no panic").expect("it migrates").applied.len());
    }
    assert_eq!(applied, [1, 0]);
}
