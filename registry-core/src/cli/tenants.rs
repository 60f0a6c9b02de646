//! `migrate --all-tenants`.

use std::ops::AddAssign;
use std::sync::Arc;

use futures_util::FutureExt;
use serde::Serialize;

use super::command::MigrateArgs;
use super::exit::{Exit, Failure, chain};
use super::migrate::Run;
use super::output::{Output, Tone};
use crate::registry::{
    AllTenants, AllTenantsOptions, KnownMigrations, MigrateTenantsError, MigrateTenantsReport,
    NameStream, TenantOutcome, TenantResult,
};
use crate::settings::BindKey;

/// How many tenants came to which end.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct TenantCounts {
    migrated: u64,
    up_to_date: u64,
    failed: u64,
    not_reached: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    has_unread_names: bool,
    repeated: u64,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Tenant {
        bind: &'a str,
        #[serde(flatten)]
        outcome: &'a TenantOutcome,
    },
    Tenants {
        bind: &'a str,
        #[serde(flatten)]
        counts: TenantCounts,
        /// Why not all is done, unless it is because of single tenants.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        errors: Vec<String>,
    },
}

impl Run<'_> {
    /// Migrates all tenants of one bind after the other.
    pub(super) async fn all_tenants(
        &mut self,
        binds: Vec<Arc<dyn KnownMigrations>>,
        arguments: &MigrateArgs,
    ) -> Result<(), Failure> {
        let mut total = TenantCounts::default();
        let names = match self.is_over(arguments.keep_going) || binds.is_empty() {
            true => Vec::new(),
            false => self.databases.names(binds.len()).await?,
        };
        let mut names = names.into_iter();
        for known in binds {
            match names.next().filter(|_| !self.is_over(arguments.keep_going)) {
                Some(names) => total += self.tenants_of(known, names, arguments).await,
                None => self.tenants_not_reached(known.key()),
            }
        }
        self.report.tenants = Some(total);
        Ok(())
    }

    async fn tenants_of(
        &mut self,
        known: Arc<dyn KnownMigrations>,
        names: NameStream,
        arguments: &MigrateArgs,
    ) -> TenantCounts {
        let key = known.key();
        let (output, databases) = (self.output, self.databases);
        let defaults = AllTenantsOptions::default();
        let run = AllTenants {
            registry: databases.registry.clone(),
            names,
            migrations: known,
            options: AllTenantsOptions {
                jobs: arguments.jobs.map_or(defaults.jobs, Into::into),
                canaries: arguments.canary.unwrap_or(defaults.canaries),
                keep_going: arguments.keep_going,
                each: self.options.clone(),
                ledger: databases.ledger.clone(),
                rechecks: arguments.recheck,
                wait_for_lease: arguments.wait_for_lease,
                on_outcome: Some(printer(output.clone(), key)),
                stop: self.interrupts.first().boxed(),
            },
            place: databases.place,
        };
        let ended = {
            let _spinner = output.spinner(format!("{key}: migrating tenants"));
            run.run().await
        };
        let counts = match &ended {
            Ok(report) => report.into(),
            Err(error) => error.report().map(TenantCounts::from).unwrap_or_default(),
        };
        let errors = match &ended {
            Ok(_) | Err(MigrateTenantsError::Tenants(_)) => Vec::new(),
            Err(error) => chain(error),
        };
        output.error(&errors);
        if output.is_json {
            output.json(&Event::Tenants { bind: &key, counts, errors });
        } else if !matches!(ended, Err(MigrateTenantsError::LeaseHeld { .. })) {
            output.result(format_args!("{key}: {}", counts.shown(output)));
        }
        if let Err(error) = ended {
            self.exit = match error {
                _ if self.interrupts.has_come() => Exit::Interrupted,
                // Something else has failed before.
                _ if self.exit != Exit::Done => self.exit,
                MigrateTenantsError::Tenants(_) => Exit::Tenants,
                MigrateTenantsError::LeaseHeld { .. } => Exit::LeaseHeld,
                _ => Exit::Failed,
            };
        }
        counts
    }
}

/// Prints each outcome as it comes. Tenants that were up to date are counted only, except in JSON, and so are those that
/// were not reached.
fn printer(output: Output, key: BindKey) -> Box<dyn FnMut(&TenantOutcome) + Send> {
    let mut counts = TenantCounts::default();
    Box::new(move |outcome| {
        counts.add(&outcome.result);
        if output.is_json {
            output.json(&Event::Tenant { bind: &key, outcome });
            return;
        }
        let tenant = &outcome.tenant;
        match &outcome.result {
            TenantResult::Failed(failure) => {
                let mut messages = chain(failure);
                messages[0] = format!("tenant `{tenant}`: {}", messages[0]);
                output.error(&messages);
            }
            TenantResult::Applied(_) | TenantResult::Repeated if !output.has_bars => {
                output.message(format_args!("{key}, tenant `{tenant}`: {}", outcome.result));
            }
            _ => {}
        }
        output.set_spinner(format!("{key}: {}", counts.plain()));
    })
}

impl TenantCounts {
    fn add(&mut self, result: &TenantResult) {
        let count = match result {
            TenantResult::Applied(_) => &mut self.migrated,
            TenantResult::UpToDate => &mut self.up_to_date,
            TenantResult::Failed(_) => &mut self.failed,
            TenantResult::NotReached => &mut self.not_reached,
            TenantResult::Repeated => &mut self.repeated,
        };
        *count += 1;
    }

    fn plain(&self) -> String {
        self.worded(|_, text| text)
    }

    fn shown(&self, output: &Output) -> String {
        self.worded(|tone, text| output.toned(tone, &text, 0))
    }

    fn worded(&self, toned: impl Fn(Tone, String) -> String) -> String {
        let Self { migrated, up_to_date, failed, not_reached, has_unread_names, repeated } = *self;
        let mut parts = vec![
            toned(Tone::Good, format!("{migrated} migrated")),
            format!("{up_to_date} up to date"),
        ];
        if failed > 0 {
            parts.push(toned(Tone::Bad, format!("{failed} failed")));
        }
        if not_reached > 0 {
            parts.push(toned(Tone::Warning, format!("{not_reached} not reached")));
        }
        if has_unread_names {
            parts.push(toned(Tone::Warning, "the other names were not read".to_owned()));
        }
        if repeated > 0 {
            parts.push(toned(Tone::Warning, format!("{repeated} named again")));
        }
        parts.join(", ")
    }
}

impl From<&MigrateTenantsReport> for TenantCounts {
    fn from(report: &MigrateTenantsReport) -> Self {
        let MigrateTenantsReport {
            applied,
            up_to_date,
            failed,
            not_reached,
            has_unread_names,
            repeated,
            ..
        } = *report;
        Self { migrated: applied, up_to_date, failed, not_reached, has_unread_names, repeated }
    }
}

impl AddAssign for TenantCounts {
    fn add_assign(&mut self, other: Self) {
        self.migrated += other.migrated;
        self.up_to_date += other.up_to_date;
        self.failed += other.failed;
        self.not_reached += other.not_reached;
        self.has_unread_names |= other.has_unread_names;
        self.repeated += other.repeated;
    }
}
