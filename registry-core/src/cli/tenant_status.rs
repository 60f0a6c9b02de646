//! `status --all-tenants`.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use serde::Serialize;

use super::databases::Databases;
use super::exit::{Failure, chain};
use super::output::{Output, Tone};
use super::status::tone;
use super::verify::counted;
use crate::cause::DriverError;
use crate::registry::{KnownMigrations, MigrationStatus, NameStream, Registry};

/// How many tenants have what.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Counts {
    up_to_date: u64,
    pub(super) pending: u64,
    unknown: u64,
    pub(super) failed: u64,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Tenant {
        bind: &'a str,
        tenant: &'a str,
        pending: Vec<&'a str>,
        unknown: Vec<&'a str>,
    },
    Failed {
        bind: &'a str,
        tenant: &'a str,
        error: String,
        causes: Vec<String>,
    },
    Tenants {
        bind: &'a str,
        #[serde(flatten)]
        counts: Counts,
    },
}

/// Prints the tenants of the binds that are not up to date, and counts the others.
pub(super) async fn print(
    databases: &Databases,
    output: &Output,
    binds: &[Arc<dyn KnownMigrations>],
    jobs: usize,
) -> Result<Counts, Failure> {
    let mut total = Counts::default();
    if binds.is_empty() {
        return Ok(total);
    }
    let names = databases.names(binds.len()).await?;
    for (known, names) in binds.iter().zip(names) {
        let counts = print_bind(databases, output, known, names, jobs).await?;
        total.up_to_date += counts.up_to_date;
        total.pending += counts.pending;
        total.unknown += counts.unknown;
        total.failed += counts.failed;
    }
    Ok(total)
}

async fn print_bind(
    databases: &Databases,
    output: &Output,
    known: &Arc<dyn KnownMigrations>,
    names: NameStream,
    jobs: usize,
) -> Result<Counts, Failure> {
    let key = known.key();
    let mut counts = Counts::default();
    if !output.is_json {
        let overview = databases.registry.overview();
        let url = overview.into_iter().find(|bind| bind.key == key).and_then(|bind| bind.url);
        let url = url.map(|url| format!("  {url}"));
        output.result(format_args!("{key}{}", url.unwrap_or_default()));
    }
    let spinner = output.spinner(format!("{key}: reading the migrations of tenants"));
    let mut statuses = statuses(databases.registry.clone(), Arc::clone(known), names, jobs);
    while let Some(status) = statuses.next().await {
        let (tenant, status) = status.map_err(|error| {
            super::exit::Caused::new("the names of the tenants could not be read", error)
        })?;
        match status {
            Ok(status) => {
                let pending: Vec<_> =
                    status.pending().map(|entry| entry.version.as_str()).collect();
                let unknown: Vec<_> =
                    status.unknown().map(|entry| entry.version.as_str()).collect();
                counts.pending += u64::from(!pending.is_empty());
                counts.unknown += u64::from(!unknown.is_empty());
                counts.up_to_date += u64::from(pending.is_empty() && unknown.is_empty());
                if output.is_json {
                    output.json(&Event::Tenant { bind: &key, tenant: &tenant, pending, unknown });
                } else {
                    print_status(output, &tenant, &status);
                }
            }
            Err(error) => {
                counts.failed += 1;
                let mut causes = chain(&*error);
                if output.is_json {
                    let error = causes.remove(0);
                    output.json(&Event::Failed { bind: &key, tenant: &tenant, error, causes });
                } else {
                    let word = output.toned(Tone::Bad, "error", 0);
                    output.result(format_args!("  {tenant}: {word}: {}", causes.join(": ")));
                }
            }
        }
        output.set_spinner(format!("{key}: {}", counts.worded()));
        if output.is_abandoned() {
            break;
        }
    }
    drop(spinner);
    if output.is_json {
        output.json(&Event::Tenants { bind: &key, counts });
    } else {
        output.result(format_args!("  {}", counts.worded()));
    }
    Ok(counts)
}

type TenantStatus = (Box<str>, Result<MigrationStatus, DriverError>);

fn statuses(
    registry: Registry,
    known: Arc<dyn KnownMigrations>,
    names: NameStream,
    jobs: usize,
) -> impl Stream<Item = Result<TenantStatus, DriverError>> + Unpin {
    let statuses = names.map(move |name| {
        let (registry, known) = (registry.clone(), Arc::clone(&known));
        async move {
            let name = name?;
            let status = match registry.tenant(&name) {
                Ok(tenant) => known.status(&registry, Some(&tenant)).await.map_err(Into::into),
                Err(error) => Err(error.into()),
            };
            Ok((name, status))
        }
    });
    // In the order of the names, so that two calls print the same.
    Box::pin(statuses.buffered(jobs))
}

fn print_status(output: &Output, tenant: &str, status: &MigrationStatus) {
    for entry in status.pending().chain(status.unknown()) {
        let state = output.toned(tone(entry.state), &entry.state.to_string(), 7);
        let name = entry.name.as_ref().unwrap_or(&entry.version);
        output.result(format_args!("  {tenant}: {state}  {name}"));
    }
}

impl Counts {
    fn worded(&self) -> String {
        let Self { up_to_date, pending, unknown, failed } = *self;
        let mut parts = vec![
            format!("{} up to date", counted(up_to_date, "tenant")),
            format!("{pending} with pending migrations"),
        ];
        if unknown > 0 {
            parts.push(format!("{unknown} with unknown ones"));
        }
        if failed > 0 {
            parts.push(format!("{failed} failed"));
        }
        parts.join(", ")
    }
}
