//! The steps of a change: which migrations are run or reverted, and the checks before the first one.

use std::collections::{HashMap, HashSet};

use diesel::migration::Migration;

use super::recorder::is_irreversible;
use super::records::Record;
use super::task::{BackendOf, Change, Direction, MigrationFailure, Migrations};
use crate::backend::driver::Driver;
use crate::settings::BindKey;

/// The steps of a change, in order, and what has to be noted before them.
pub(super) struct Steps {
    pub(super) steps: Vec<(Direction, usize)>,
    /// Records that are missing for versions that were run, by Diesel's own tool or before there were records.
    pub(super) unrecorded: Vec<Record>,
    /// How many migrations of the program were run before, and are not in `steps`.
    pub(super) skipped: usize,
}

/// What the two tables of a database say was run.
pub(super) struct Applied {
    /// The versions in Diesel's table.
    pub(super) versions: Vec<String>,
    /// The records of these versions.
    pub(super) records: Vec<Record>,
}

/// Selects the steps. The migrations are in the order of their versions.
pub(super) fn select<C: Driver>(
    change: &Change,
    bind: BindKey,
    migrations: &Migrations<BackendOf<C>>,
    applied: Applied,
) -> Result<Steps, MigrationFailure> {
    let is_applied: HashSet<_> =
        applied.versions.iter().map(|version| C::version_key(version)).collect();
    let records: HashMap<_, _> = applied
        .records
        .into_iter()
        .map(|record| (C::version_key(&record.version), record))
        .collect();
    let mut unrecorded = Vec::new();
    let mut own = HashMap::new();
    for (at, migration) in migrations.iter().enumerate() {
        let record = record_of::<C>(&**migration, bind);
        let version_key = C::version_key(&record.version);
        match records.get(&version_key) {
            Some(Record { name, bind: by, .. }) if *name != record.name => {
                return Err(MigrationFailure::Taken {
                    version: record.version,
                    migration: record.name,
                    applied: name.clone(),
                    by: by.clone(),
                });
            }
            None if is_applied.contains(&version_key) => unrecorded.push(record),
            _ => {}
        }
        own.insert(version_key, at);
    }
    let run_before = own.keys().filter(|key| is_applied.contains(*key)).count();
    let steps = match change {
        Change::Run => pending::<C>(migrations, &is_applied).collect(),
        Change::RunTo(version) => {
            let last = find::<C>(migrations, version)?;
            pending::<C>(migrations, &is_applied).filter(|(_, at)| *at <= last).collect()
        }
        Change::Revert(count) => revertible::<C>(*count, bind, &applied.versions, &records, &own)?,
        Change::Redo => revertible::<C>(1, bind, &applied.versions, &records, &own)?
            .into_iter()
            .flat_map(|(_, at)| [(Direction::Down, at), (Direction::Up, at)])
            .collect::<Vec<_>>(),
    };
    for (direction, at) in &steps {
        let migration = &*migrations[*at];
        if *direction == Direction::Down && is_irreversible(migration) {
            return Err(MigrationFailure::Irreversible { migration: migration.name().to_string() });
        }
    }
    let touched = steps.iter().filter(|(direction, _)| *direction == Direction::Down).count();
    Ok(Steps { steps, unrecorded, skipped: run_before - touched })
}

/// The record of a migration that this bind runs.
pub(super) fn record_of<C: Driver>(
    migration: &dyn Migration<BackendOf<C>>,
    bind: BindKey,
) -> Record {
    let (version, name) = (migration.name().version().to_string(), migration.name().to_string());
    Record { version, name, bind: bind.to_string() }
}

fn pending<C: Driver>(
    migrations: &Migrations<BackendOf<C>>,
    is_applied: &HashSet<String>,
) -> impl Iterator<Item = (Direction, usize)> {
    migrations.iter().enumerate().filter_map(|(at, migration)| {
        let version = migration.name().version().to_string();
        (!is_applied.contains(&C::version_key(&version))).then_some((Direction::Up, at))
    })
}

/// Finds a migration by its version, with or without `-`, or by its name.
fn find<C: Driver>(
    migrations: &Migrations<BackendOf<C>>,
    wanted: &str,
) -> Result<usize, MigrationFailure> {
    let is_wanted = |migration: &dyn Migration<BackendOf<C>>| {
        let (version, name) =
            (migration.name().version().to_string(), migration.name().to_string());
        let without_hyphens = C::version_key(&wanted.replace('-', ""));
        wanted == name
            || C::version_key(wanted) == C::version_key(&version)
            || without_hyphens == C::version_key(&version)
    };
    migrations.iter().position(|migration| is_wanted(&**migration)).ok_or_else(|| {
        let known = migrations.iter().map(|migration| migration.name().to_string()).collect();
        MigrationFailure::UnknownVersion { version: wanted.to_owned(), known }
    })
}

/// The last versions of this bind that were run, the newest first. A version of another bind that shares the database is
/// none of this bind's, unless the program has a migration of that name here as well.
fn revertible<C: Driver>(
    count: usize,
    bind: BindKey,
    versions: &[String],
    records: &HashMap<String, Record>,
    own: &HashMap<String, usize>,
) -> Result<Vec<(Direction, usize)>, MigrationFailure> {
    let mut versions: Vec<_> = versions.iter().collect();
    versions.sort_by(|a, b| b.cmp(a));
    let mut steps = Vec::new();
    for version in versions {
        if steps.len() == count {
            break;
        }
        let version_key = C::version_key(version);
        let record = records.get(&version_key);
        let by_other = record.filter(|record| bind != *record.bind);
        match (own.get(&version_key), by_other) {
            (None, Some(_)) => {}
            (None, None) => {
                return Err(MigrationFailure::NotInProgram {
                    version: version.clone(),
                    name: record.map(|record| record.name.clone()),
                });
            }
            (Some(_), Some(record)) => {
                return Err(MigrationFailure::OfAnotherBind {
                    migration: record.name.clone(),
                    by: record.bind.clone(),
                });
            }
            (Some(at), None) => steps.push((Direction::Down, *at)),
        }
    }
    Ok(steps)
}
