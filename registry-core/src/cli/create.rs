//! `create`: the databases of binds, and tenants.

use serde::Serialize;

use super::command::CreateArgs;
use super::databases::Databases;
use super::exit::{Exit, Failure, Outcome};
use super::output::{Output, Tone};
use crate::registry::{CreateTenantError, DatabaseError, MigrateReport, Tenancy};

/// What was done about a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Created,
    Existed,
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
    for key in chosen_binds(databases, arguments)? {
        let name = databases.registry.database_name(&key)?;
        let outcome = match databases.registry.create_database(&key).await {
            Ok(()) => Done::Created,
            Err(DatabaseError::Exists { .. }) if arguments.if_missing => Done::Existed,
            Err(error) => return Err(error.into()),
        };
        let (bind, database) = (key.as_str(), Some(name.as_str()));
        print(output, &Line { bind, tenant: None, database, outcome, applied: Vec::new() });
    }
    Ok(Exit::Done)
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
    for key in &arguments.binds {
        let known = databases.known(key)?;
        for tenant in &arguments.tenants {
            let (outcome, applied) = match known.create_tenant(&databases.registry, tenant).await {
                Ok(MigrateReport { applied, .. }) => (Done::Created, applied),
                Err(CreateTenantError::Exists { .. }) if arguments.if_missing => {
                    (Done::Existed, Vec::new())
                }
                Err(error) => return Err(error.into()),
            };
            let tenant = Some(tenant.as_str());
            print(output, &Line { bind: key, tenant, database: None, outcome, applied });
        }
    }
    Ok(Exit::Done)
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
    };
    output.result(format_args!("{bind}: {what} {outcome}"));
    for migration in applied {
        output.result(format_args!("  {migration}"));
    }
}
