//! A program that does not say which tenants there are.

use std::process::ExitCode;

use clap::Parser;
use registry_core::cli::{DatabaseCommand, Databases};
use registry_core::{Registry, binds};

use crate::support::fresh_folder;
use crate::support::steps::{Steps, step};

binds! {
    Main: Sqlite = "default";
    Crm: Sqlite = "crm";
}

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: DatabaseCommand,
}

#[tokio::test]
async fn all_tenants_are_refused_before_anything_is_migrated() {
    let folder = fresh_folder();
    let registry = Registry::builder()
        .bind("default", format!("sqlite://{}/main.db", folder.display()))
        .bind("crm", format!("sqlite://{}/{{tenant}}.db", folder.display()))
        .build()
        .expect("good settings");
    let steps = || Steps(vec![step("1_items", "CREATE TABLE items (id INTEGER PRIMARY KEY)")]);
    let run = async |arguments: &[&str]| {
        let Arguments { command } =
            Arguments::try_parse_from([&["manage"], arguments].concat()).expect("arguments");
        let databases =
            Databases::new(&registry).migrations::<Main>(steps()).migrations::<Crm>(steps());
        databases.run(command).await
    };
    let usage = ExitCode::from(2);
    assert_eq!(format!("{:?}", run(&["migrate", "--all-tenants"]).await), format!("{usage:?}"));
    let main = registry.migrations::<Main>(steps());
    assert_eq!(main.pending().await.expect("known"), ["1_items"]);
    run(&["migrate", "--bind", "default"]).await;
    assert_eq!(main.pending().await.expect("known"), [""; 0]);
}
