//! `migrate`: the pending migrations of some databases, and what every change of migrations prints.

use serde::Serialize;

use super::command::{LimitArgs, MigrateArgs};
use super::databases::Databases;
use super::exit::{Exit, Failure, Outcome};
use super::interrupt::Interrupts;
use super::output::{Output, Tone};
use super::plan;
use super::targets::{Chosen, Target};
use super::tenants::TenantCounts;
use super::verify::counted;
use crate::registry::{Change, MigrateError, MigrateOptions, MigrateReport};
use crate::settings::BindKey;

pub(super) async fn run(
    databases: &Databases,
    output: &Output,
    arguments: &MigrateArgs,
) -> Outcome {
    let chosen = Chosen::new(databases, &arguments.binds)?;
    let targets = chosen.targets(databases, &arguments.tenants)?;
    if let (true, Some(known)) = (
        chosen.are_named && arguments.tenants.is_empty() && !arguments.all_tenants,
        chosen.per_tenant.first(),
    ) {
        return Err(databases.needs_tenant(&known.key()));
    }
    if arguments.plan {
        return plan::run(databases, output, &targets).await;
    }
    let change = match &arguments.to {
        None => Change::Run,
        // Versions of several binds have nothing to do with each other.
        Some(_) if targets.iter().any(|target| target.key() != targets[0].key()) => {
            return Err(Failure::usage("--to is for one bind: choose it with --bind KEY"));
        }
        Some(version) => Change::RunTo(version.clone()),
    };
    if arguments.all_tenants && !chosen.per_tenant.is_empty() {
        databases.check_names()?;
    }
    let mut run = Run::begin(databases, output, options(&arguments.limits));
    run.change(targets, &change, arguments.keep_going).await;
    if arguments.all_tenants {
        run.all_tenants(chosen.per_tenant, arguments).await?;
        return Ok(run.end());
    }
    if arguments.tenants.is_empty() {
        for known in &chosen.per_tenant {
            output.progress(format_args!(
                "{}: not migrated, as it has a database or schema for each tenant: add --tenant NAME or --all-tenants",
                known.key()
            ));
        }
    }
    Ok(run.end())
}

pub(super) fn options(arguments: &LimitArgs) -> MigrateOptions {
    let LimitArgs { lock_timeout, lock_retries, time_limit } = *arguments;
    MigrateOptions { lock_timeout, lock_retries, time_limit, ..MigrateOptions::default() }
}

/// The changes of a command, and how they end.
pub(super) struct Run<'d> {
    pub(super) databases: &'d Databases,
    pub(super) output: &'d Output,
    pub(super) options: MigrateOptions,
    pub(super) interrupts: Interrupts,
    pub(super) report: Report,
    pub(super) exit: Exit,
}

/// What happened to one database.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Changed {
        bind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tenant: Option<&'a str>,
        reverted: &'a [String],
        applied: &'a [String],
        skipped: usize,
    },
    Failed {
        bind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tenant: Option<&'a str>,
        error: String,
        causes: Vec<String>,
    },
    Stopped {
        bind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tenant: Option<&'a str>,
        reverted: &'a [String],
        applied: &'a [String],
    },
    NotReached {
        bind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        tenant: Option<&'a str>,
    },
}

/// All of it.
#[derive(Default, Serialize)]
pub(super) struct Report {
    databases: usize,
    changed: usize,
    up_to_date: usize,
    failed: usize,
    not_reached: usize,
    /// Of all binds, with `--all-tenants`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenants: Option<TenantCounts>,
}

#[derive(Serialize)]
struct LastLine<'a> {
    event: &'static str,
    #[serde(flatten)]
    report: &'a Report,
    exit_code: u8,
}

impl<'d> Run<'d> {
    pub(super) fn begin(
        databases: &'d Databases,
        output: &'d Output,
        options: MigrateOptions,
    ) -> Self {
        let interrupts = Interrupts::listen(output);
        Self { databases, output, options, interrupts, report: Report::default(), exit: Exit::Done }
    }

    /// Changes one database after the other.
    pub(super) async fn change(&mut self, targets: Vec<Target>, change: &Change, keep_going: bool) {
        for target in targets {
            self.report.databases += 1;
            if self.is_over(keep_going) {
                self.not_reached(&target);
                continue;
            }
            let changed = {
                let _spinner = self.output.spinner(format!("{target}: running migrations"));
                self.change_one(&target, change).await
            };
            match changed {
                Ok(report) => self.changed(&target, &report),
                Err(failure) => match failure.error.downcast_ref() {
                    Some(MigrateError::Stopped { reverted, applied, .. }) => {
                        self.stopped(&target, reverted, applied);
                    }
                    _ => self.failed(&target, &failure),
                },
            }
        }
    }

    async fn change_one(&self, target: &Target, change: &Change) -> Result<MigrateReport, Failure> {
        let databases = self.databases;
        let options = MigrateOptions { stop: self.interrupts.stop(), ..self.options.clone() };
        let goes_back = matches!(change, Change::Revert(_) | Change::Redo);
        let tenant = target.tenant_name().filter(|_| goes_back);
        let (registry, of) = (&databases.registry, target.tenant.as_ref());
        let changing = target.known.change(registry, of, change.clone(), options);
        let changed = match tenant {
            Some(tenant) => databases.forgetting(target.key(), tenant, changing).await?,
            None => changing.await,
        };
        Ok(changed?)
    }

    /// Whether nothing new may begin.
    pub(super) fn is_over(&mut self, keep_going: bool) -> bool {
        if self.interrupts.has_come() {
            self.exit = Exit::Interrupted;
        }
        self.exit == Exit::Interrupted || (self.exit != Exit::Done && !keep_going)
    }

    /// Prints the report, and returns the exit code.
    pub(super) fn end(self) -> Exit {
        if self.output.is_json {
            let exit_code = self.exit.code();
            self.output.json(&LastLine { event: "report", report: &self.report, exit_code });
        }
        self.exit
    }

    fn changed(&mut self, target: &Target, changed: &MigrateReport) {
        let MigrateReport { reverted, applied, skipped, .. } = changed;
        match applied.is_empty() && reverted.is_empty() {
            true => self.report.up_to_date += 1,
            false => self.report.changed += 1,
        }
        if self.output.is_json {
            let (bind, tenant) = (&*target.key(), target.tenant_name());
            self.output.json(&Event::Changed {
                bind,
                tenant,
                reverted,
                applied,
                skipped: *skipped,
            });
            return;
        }
        self.print_changed(target, reverted, applied);
    }

    /// A database whose next migration was not begun, because of a signal.
    fn stopped(&mut self, target: &Target, reverted: &[String], applied: &[String]) {
        self.report.not_reached += 1;
        self.exit = Exit::Interrupted;
        if self.output.is_json {
            let (bind, tenant) = (&*target.key(), target.tenant_name());
            self.output.json(&Event::Stopped { bind, tenant, reverted, applied });
            return;
        }
        if !reverted.is_empty() || !applied.is_empty() {
            self.print_changed(target, reverted, applied);
        }
        self.output.message(format_args!("{target}: stopped before the next migration"));
    }

    fn print_changed(&self, target: &Target, reverted: &[String], applied: &[String]) {
        let done = match (reverted.len(), applied.len()) {
            (0, 0) => self.output.toned(Tone::Plain, "nothing to do", 0),
            (0, applied) => format!(
                "{} {}",
                counted(applied, "migration"),
                self.output.toned(Tone::Good, "run", 0)
            ),
            (reverted, 0) => format!(
                "{} {}",
                counted(reverted, "migration"),
                self.output.toned(Tone::Warning, "reverted", 0)
            ),
            (reverted, applied) => {
                format!("{} reverted, {} run", counted(reverted, "migration"), applied)
            }
        };
        self.output.result(format_args!("{target}: {done}"));
        for name in reverted {
            self.output.result(format_args!("  {name} (reverted)"));
        }
        for name in applied {
            self.output.result(format_args!("  {name}"));
        }
    }

    fn failed(&mut self, target: &Target, failure: &Failure) {
        self.report.failed += 1;
        self.exit = failure.exit;
        let mut messages = failure.chain();
        let mut shown = messages.clone();
        if let Some(tenant) = target.tenant_name() {
            shown[0] = format!("tenant `{tenant}`: {}", shown[0]);
        }
        self.output.error(&shown);
        if self.output.is_json {
            let (bind, tenant) = (&*target.key(), target.tenant_name());
            let error = messages.remove(0);
            self.output.json(&Event::Failed { bind, tenant, error, causes: messages });
        }
    }

    /// The tenants of a bind that were not begun.
    pub(super) fn tenants_not_reached(&self, key: BindKey) {
        if self.output.is_json {
            self.output.json(&Event::NotReached { bind: &key, tenant: None });
        } else {
            self.output.message(format_args!("{key}: tenants not reached"));
        }
    }

    fn not_reached(&mut self, target: &Target) {
        self.report.not_reached += 1;
        if self.output.is_json {
            let (bind, tenant) = (&*target.key(), target.tenant_name());
            self.output.json(&Event::NotReached { bind, tenant });
        } else {
            self.output.message(format_args!("{target}: not reached"));
        }
    }
}
