//! `create`: the databases of binds, and tenants.

use serde::Serialize;

use super::command::CreateArgs;
use super::databases::Databases;
use super::exit::{Exit, Failure, Outcome};
use super::interrupt::Interrupts;
use super::output::{Output, Tone};
use crate::registry::{CreateTenantError, DatabaseError, MigrateReport, Tenancy};

/// What was done about a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    Created,
    Existed,
    /// Because of a signal.
    NotReached,
}

#[derive(Serialize)]
struct Line<'a> {
    bind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a str>,
    outcome: Done,
    /// The migrations of a tenant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    applied: Vec<String>,
}

pub(super) async fn run(databases: &Databases, output: &Output, arguments: &CreateArgs) -> Outcome {
    if !arguments.tenants.is_empty() {
        return create_tenants(databases, output, arguments).await;
    }
    let chosen = chosen_binds(databases, arguments)?;
    let interrupts = Interrupts::listen(output);
    let mut exit = Exit::Done;
    for key in chosen {
        let name = databases.registry.database_name(&key)?;
        let created = match interrupts.has_come() {
            true => None,
            false => Some(databases.registry.create_database(&key).await),
        };
        let outcome = match created.transpose() {
            Ok(Some(())) => Done::Created,
            Ok(None) => {
                exit = Exit::Interrupted;
                Done::NotReached
            }
            Err(DatabaseError::Exists { .. }) if arguments.if_missing => Done::Existed,
            Err(error) => return Err(error.into()),
        };
        let (bind, database) = (key.as_str(), Some(name.as_str()));
        print(output, &Line { bind, tenant: None, database, outcome, applied: Vec::new() });
    }
    Ok(exit)
}

/// The binds that the arguments name, or else those that have one database which is not in memory.
fn chosen_binds(databases: &Databases, arguments: &CreateArgs) -> Result<Vec<String>, Failure> {
    if arguments.binds.is_empty() {
        let binds = databases.registry.overview().into_iter().filter(|bind| {
            let is_memory = bind.url.as_ref().is_some_and(|url| url.is_memory());
            bind.tenancy == Tenancy::Single && !is_memory
        });
        return Ok(binds.map(|bind| bind.key.to_string()).collect());
    }
    for key in &arguments.binds {
        let tenancy = databases.tenancy(key)?;
        databases.checked_tenant(key, tenancy, None)?;
    }
    Ok(arguments.binds.clone())
}

async fn create_tenants(databases: &Databases, output: &Output, arguments: &CreateArgs) -> Outcome {
    // Everything is checked before anything is created.
    for key in &arguments.binds {
        let tenancy = databases.tenancy(key)?;
        for tenant in &arguments.tenants {
            databases.checked_tenant(key, tenancy, Some(tenant))?;
        }
        databases.known(key)?;
    }
    let interrupts = Interrupts::listen(output);
    let mut exit = Exit::Done;
    for key in &arguments.binds {
        let known = databases.known(key)?;
        for tenant in &arguments.tenants {
            let created = match interrupts.has_come() {
                true => None,
                false => Some(known.create_tenant(&databases.registry, tenant).await),
            };
            let (outcome, applied) = match created.transpose() {
                Ok(Some(MigrateReport { applied, .. })) => (Done::Created, applied),
                Ok(None) => {
                    exit = Exit::Interrupted;
                    (Done::NotReached, Vec::new())
                }
                Err(CreateTenantError::Exists { .. }) if arguments.if_missing => {
                    (Done::Existed, Vec::new())
                }
                Err(error) => return Err(error.into()),
            };
            let tenant = Some(tenant.as_str());
            print(output, &Line { bind: key, tenant, database: None, outcome, applied });
        }
    }
    Ok(exit)
}

fn print(output: &Output, line: &Line<'_>) {
    if output.is_json {
        output.json(line);
        return;
    }
    let Line { bind, tenant, database, outcome, applied } = line;
    let what = match (tenant, database) {
        (Some(tenant), _) => format!("tenant `{tenant}`"),
        (None, Some(database)) => format!("database `{database}`"),
        (None, None) => String::new(),
    };
    let outcome = match outcome {
        Done::Created => output.toned(Tone::Good, "created", 0),
        Done::Existed => output.toned(Tone::Plain, "exists already", 0),
        Done::NotReached => output.toned(Tone::Warning, "not reached", 0),
    };
    output.result(format_args!("{bind}: {what} {outcome}"));
    for migration in applied {
        output.result(format_args!("  {migration}"));
    }
}
