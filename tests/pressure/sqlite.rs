//! Thousands of SQLite files, of which few are open at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use registry_core::{BindSettings, Error, Registry, RunQueryDsl, Tenant, bind_tables};

use super::load::{self, Load, Outcome, bounds, is_full, name};
use crate::support::fresh_folder;

diesel::table! {
    residents (name) {
        name -> Text,
    }
}
bind_tables!(db = "files", backend = Sqlite; residents);

/// Creates a file for each tenant, with a row that has its name.
fn prepare(folder: &Path, tenants: usize) {
    let first = folder.join("first");
    let mut connection = SqliteConnection::establish(&first.display().to_string()).expect("a file");
    let create = "PRAGMA synchronous = OFF; CREATE TABLE residents (name TEXT PRIMARY KEY)";
    connection.batch_execute(create).expect("a table");
    drop(connection);
    for number in 0..tenants {
        let file = folder.join(format!("{}.db", name(number)));
        std::fs::copy(&first, &file).expect("a copy");
        let mut connection =
            SqliteConnection::establish(&file.display().to_string()).expect("a file");
        let insert =
            format!("PRAGMA synchronous = OFF; INSERT INTO residents VALUES ('{}')", name(number));
        connection.batch_execute(&insert).expect("a row");
    }
}

async fn request(tenant: Tenant) -> Result<(), Error> {
    let rows: Vec<String> = residents::table.select(residents::name).load(&tenant).await?;
    assert_eq!(rows, [tenant.name()]);
    Ok(())
}

/// How many files of the folder this process has open.
fn open_files(folder: &Path) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").expect("Linux tells");
    files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter(|file| file.starts_with(folder))
        .count()
}

async fn under_load(drops: bool) {
    let (tenants, length) = if is_full() { (5_000, 30) } else { (500, 2) };
    let (max_engines, max_connections) = bounds();
    let folder = fresh_folder();
    prepare(&folder, tenants);
    let url = format!("sqlite://{}/{{tenant}}.db", folder.display());
    let settings = BindSettings::new(url).max_connections(max_connections);
    let builder = Registry::builder().bind("files", settings).max_engines(max_engines);
    let registry = builder.build().expect("good settings");
    let outcome = Arc::new(Outcome::default());
    let watching = {
        let (outcome, folder) = (Arc::clone(&outcome), folder.clone());
        tokio::spawn(async move {
            let mut most = 0;
            while !outcome.is_over() {
                if cfg!(target_os = "linux") {
                    most = most.max(open_files(&folder));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            most
        })
    };
    let load = Load { tenants, length: Duration::from_secs(length), drops };
    load::run(load, &registry, &outcome, request, |_| false).await;
    let most = watching.await.expect("no panic");
    println!("{outcome:?}, at most {most} open files");
    // Each connection opens the database, its write-ahead log and the shared-memory index of the log.
    assert!(most <= (max_engines * max_connections) as usize * 3, "{most} files were open");
    load::has_settled(&registry).await;
    if cfg!(target_os = "linux") {
        crate::support::eventually(|| open_files(&folder) == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tenant_reads_its_row_with_few_open_files() {
    under_load(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_requests_keep_rows_and_few_open_files() {
    under_load(true).await;
}
