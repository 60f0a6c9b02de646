//! `drop`: the database of a bind, or a tenant.

use serde::Serialize;

use super::command::DropArgs;
use super::confirm;
use super::databases::Databases;
use super::exit::{Exit, Failure, Outcome};
use super::interrupt::Interrupts;
use super::output::{Output, Tone};
use crate::engine::AcquireError;
use crate::registry::{DatabaseError, DropTenantError};

#[derive(Serialize)]
struct Document<'a> {
    bind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a str>,
    outcome: &'a str,
}

pub(super) async fn run(databases: &Databases, output: &Output, arguments: &DropArgs) -> Outcome {
    let key = arguments.database.bind.as_str();
    let tenancy = databases.tenancy(key)?;
    let tenant = databases.checked_tenant(key, tenancy, arguments.database.tenant.as_deref())?;
    let tenant = tenant.as_ref().map(|tenant| tenant.name());
    let database = match tenant {
        Some(_) => None,
        None => Some(databases.registry.database_name(key)?),
    };
    // Found before the question, so that nobody confirms in vain.
    let known = tenant.map(|_| databases.known(key)).transpose()?;
    let (noun, name) = match (tenant, &database) {
        (Some(tenant), _) => ("tenant", tenant),
        (None, Some(database)) => ("database", database.as_str()),
        (None, None) => unreachable!("one of them was found"),
    };
    confirm(databases, output, arguments, noun, name).await?;
    // From here on, a signal does not leave a part of it.
    let _interrupts = Interrupts::listen(output);
    let is_dropped = match (known, tenant) {
        (Some(known), Some(tenant)) => {
            let dropping = known.drop_tenant(&databases.registry, tenant);
            let dropped = databases.forgetting(known.key(), tenant, dropping).await?;
            match dropped {
                Ok(()) => true,
                Err(DropTenantError::Acquire(AcquireError::UnknownTenant { .. }))
                    if arguments.if_exists =>
                {
                    false
                }
                Err(error) => return Err(error.into()),
            }
        }
        _ => match databases.registry.drop_database(key).await {
            Ok(()) => true,
            Err(DatabaseError::Missing { .. }) if arguments.if_exists => false,
            Err(error) => return Err(error.into()),
        },
    };
    let outcome = if is_dropped { "dropped" } else { "missing" };
    if output.is_json {
        output.json(&Document { bind: key, tenant, database: database.as_deref(), outcome });
    } else {
        let outcome = match is_dropped {
            true => output.toned(Tone::Good, "dropped", 0),
            false => output.toned(Tone::Plain, "does not exist", 0),
        };
        output.result(format_args!("{key}: {noun} `{name}` {outcome}"));
    }
    Ok(Exit::Done)
}

/// Fails unless somebody has given the name of what is dropped.
async fn confirm(
    databases: &Databases,
    output: &Output,
    arguments: &DropArgs,
    noun: &str,
    name: &str,
) -> Result<(), Failure> {
    let given = match &arguments.yes_drop {
        Some(given) => Some(given.clone()),
        None if confirm::has_person() => {
            let located = databases.locate(&arguments.database).await?;
            let schema = located.schema.map(|schema| format!(", schema `{schema}`"));
            output.message(format_args!(
                "This drops the {noun} `{name}` of bind `{}` with everything in it:\n  {}{}",
                arguments.database.bind,
                located.settings.url_to_migrate(),
                schema.unwrap_or_default(),
            ));
            confirm::ask(output, "To go on, type its name:")?
        }
        None => {
            return Err(Failure::usage(format!(
                "`drop` asks for the name of the {noun}, and there is no terminal to ask on: add --yes-drop {}",
                in_shell(name)
            )));
        }
    };
    match given {
        Some(given) if given == name => Ok(()),
        Some(_) => Err(Failure::usage(format!(
            "nothing was dropped: the name of the {noun} is `{name}`, and another one was given"
        ))),
        None => Err(Failure::usage("nothing was dropped, as no name was given")),
    }
}

/// A name as a shell takes it.
fn in_shell(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !name.starts_with('-') && name.chars().all(is_plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}
