//! `revert` and `redo`: the last migrations of one database, or of some tenants.

use super::command::{LimitArgs, MigratedDatabaseArgs, RedoArgs, RevertArgs};
use super::databases::Databases;
use super::exit::{Failure, Outcome};
use super::migrate::{Run, options};
use super::output::Output;
use super::targets::{Chosen, Target};
use crate::registry::Change;

pub(super) async fn revert(
    databases: &Databases,
    output: &Output,
    arguments: &RevertArgs,
) -> Outcome {
    let change = Change::Revert(arguments.count);
    run(databases, output, change, &arguments.database, &arguments.limits).await
}

pub(super) async fn redo(databases: &Databases, output: &Output, arguments: &RedoArgs) -> Outcome {
    run(databases, output, Change::Redo, &arguments.database, &arguments.limits).await
}

async fn run(
    databases: &Databases,
    output: &Output,
    change: Change,
    database: &MigratedDatabaseArgs,
    limits: &LimitArgs,
) -> Outcome {
    let targets = targets(databases, database)?;
    let mut run = Run::begin(databases, output, options(limits));
    run.change(targets, &change, false).await;
    Ok(run.end())
}

fn targets(databases: &Databases, database: &MigratedDatabaseArgs) -> Result<Vec<Target>, Failure> {
    let chosen = Chosen::new(databases, database.bind.as_slice())?;
    // A migration that is reverted may take data with it, so the bind is never guessed.
    if chosen.single.len() + chosen.per_tenant.len() > 1 {
        return Err(Failure::usage("several binds have migrations: choose one with --bind KEY"));
    }
    if let (Some(known), true) = (chosen.per_tenant.first(), database.tenants.is_empty()) {
        return Err(databases.needs_tenant(&known.key()));
    }
    chosen.targets(databases, &database.tenants)
}
