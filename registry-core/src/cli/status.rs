//! `status`: the binds, and which of their migrations are applied, pending or unknown.

use serde::Serialize;

use super::command::StatusArgs;
use super::databases::Databases;
use super::exit::{Exit, Failure, Outcome, chain};
use super::output::{Output, Tone};
use super::targets::Chosen;
use super::tenant_status;
use crate::registry::{BindOverview, MigrationEntry, MigrationState, MigrationStatus, Tenancy};

#[derive(Serialize)]
struct Document {
    binds: Vec<Line>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Bind {
        #[serde(flatten)]
        line: &'a Line,
    },
    Report {
        tenants: tenant_status::Counts,
        exit_code: u8,
    },
}

/// A bind, or a tenant of it.
#[derive(Serialize)]
struct Line {
    bind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    tenancy: Tenancy,
    /// Without its password. `None` for a bind whose tenants a resolver finds.
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    /// `None` if they were not asked for: the program has named none, or the bind has tenants.
    migrations: Option<Vec<MigrationEntry>>,
    pending: usize,
    unknown: usize,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    failure: Option<Problem>,
}

#[derive(Serialize)]
struct Problem {
    error: String,
    causes: Vec<String>,
}

pub(super) async fn run(databases: &Databases, output: &Output, arguments: &StatusArgs) -> Outcome {
    let lines = match arguments.tenants.is_empty() {
        true => lines_of_binds(databases, output, arguments).await?,
        false => lines_of_tenants(databases, output, arguments).await?,
    };
    let mut has_failed = lines.iter().any(|line| line.failure.is_some());
    let mut is_pending = lines.iter().any(|line| line.pending > 0);
    match output.is_json {
        // As the tenants follow, each on a line of its own.
        true if arguments.all_tenants => {
            lines.iter().for_each(|line| output.json(&Event::Bind { line }));
        }
        true => output.json(&Document { binds: lines }),
        false => lines.iter().for_each(|line| print(output, line)),
    }
    let mut tenants = None;
    if arguments.all_tenants {
        let chosen = Chosen::new(databases, &arguments.binds)?;
        let jobs = arguments.jobs.into();
        let counts = tenant_status::print(databases, output, &chosen.per_tenant, jobs).await?;
        has_failed |= counts.failed > 0;
        is_pending |= counts.pending > 0;
        tenants = Some(counts);
    }
    let exit = match (has_failed, is_pending && arguments.exit_code) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Pending,
        (false, false) => Exit::Done,
    };
    if let (Some(tenants), true) = (tenants, output.is_json) {
        output.json(&Event::Report { tenants, exit_code: exit.code() });
    }
    Ok(exit)
}

async fn lines_of_binds(
    databases: &Databases,
    output: &Output,
    arguments: &StatusArgs,
) -> Result<Vec<Line>, Failure> {
    // A mistake of the program is said, too, if its binds are all listed.
    if databases.has_migrations() {
        databases.all_known()?;
    }
    let mut lines = Vec::new();
    for bind in chosen_binds(databases, &arguments.binds)? {
        // With all tenants, a bind that has nothing but tenants is listed with them.
        if arguments.all_tenants
            && bind.tenancy != Tenancy::Single
            && databases.migrations_of(&bind.key).is_some()
        {
            continue;
        }
        lines.push(line_of_bind(databases, output, bind).await);
    }
    Ok(lines)
}

/// The binds that the arguments name, or all: first those with migrations, in the order in which the program names them.
fn chosen_binds(databases: &Databases, keys: &[String]) -> Result<Vec<BindOverview>, Failure> {
    let mut binds = databases.registry.overview();
    for key in keys {
        databases.tenancy(key)?;
    }
    if !keys.is_empty() {
        binds.retain(|bind| keys.iter().any(|key| bind.key == **key));
    }
    let place = |bind: &BindOverview| databases.place_of(&bind.key).unwrap_or(usize::MAX);
    binds.sort_by_key(|bind| (place(bind), bind.key.to_string()));
    Ok(binds)
}

async fn line_of_bind(databases: &Databases, output: &Output, bind: BindOverview) -> Line {
    let mut line = Line {
        bind: bind.key.to_string(),
        tenant: None,
        tenancy: bind.tenancy,
        url: bind.url.map(|url| url.to_string()),
        schema: None,
        migrations: None,
        pending: 0,
        unknown: 0,
        failure: None,
    };
    if let (Tenancy::Single, Some(known)) = (bind.tenancy, databases.migrations_of(&bind.key)) {
        let _spinner = output.spinner(format!("{}: reading its migrations", bind.key));
        line.fill(known.status(&databases.registry, None).await);
    }
    line
}

async fn lines_of_tenants(
    databases: &Databases,
    output: &Output,
    arguments: &StatusArgs,
) -> Result<Vec<Line>, Failure> {
    let chosen = Chosen::new(databases, &arguments.binds)?;
    let mut lines = Vec::new();
    for target in chosen.targets(databases, &arguments.tenants)? {
        let _spinner = output.spinner(format!("{target}: reading its migrations"));
        let key = target.key();
        let mut line = Line {
            bind: key.to_string(),
            tenant: target.tenant_name().map(str::to_owned),
            tenancy: databases.tenancy(&key)?,
            url: None,
            schema: None,
            migrations: None,
            pending: 0,
            unknown: 0,
            failure: None,
        };
        match databases.registry.locate(&key, target.tenant.as_ref()).await {
            Ok(located) => {
                line.url = Some(located.settings.url.to_string());
                line.schema = located.schema;
                let status = target.known.status(&databases.registry, target.tenant.as_ref());
                line.fill(status.await);
            }
            Err(error) => line.failure = Some(Problem::new(&error)),
        }
        lines.push(line);
    }
    Ok(lines)
}

impl Line {
    fn fill(&mut self, status: Result<MigrationStatus, crate::registry::MigrateError>) {
        match status {
            Ok(status) => {
                self.pending = status.pending().count();
                self.unknown = status.unknown().count();
                self.migrations = Some(status.migrations);
            }
            Err(error) => self.failure = Some(Problem::new(&error)),
        }
    }
}

impl Problem {
    fn new(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = chain(error);
        Self { error: causes.remove(0), causes }
    }
}

fn print(output: &Output, line: &Line) {
    let name = match &line.tenant {
        None => line.bind.clone(),
        Some(tenant) => format!("{}, tenant `{tenant}`", line.bind),
    };
    let schema = line.schema.as_ref().map(|schema| format!(", schema `{schema}`"));
    let url = line.url.as_ref().map(|url| format!("  {url}{}", schema.unwrap_or_default()));
    output.result(format_args!("{name}{}", url.unwrap_or_default()));
    if let Some(Problem { error, causes }) = &line.failure {
        output.result(format_args!("  {}: {error}", output.toned(Tone::Bad, "error", 0)));
        for cause in causes {
            output.result(format_args!("    because: {cause}"));
        }
        return;
    }
    match &line.migrations {
        None if line.tenancy != Tenancy::Single => output.result(format_args!(
            "  {}: --tenant NAME shows the migrations of one, and --all-tenants those of all",
            line.tenancy
        )),
        None => output.result("  the program does not say which migrations it has"),
        Some(migrations) if migrations.is_empty() => output.result("  no migrations"),
        Some(migrations) => {
            let name = |entry: &MigrationEntry| {
                entry.name.clone().unwrap_or_else(|| entry.version.clone())
            };
            let width = migrations.iter().map(|entry| name(entry).chars().count()).max();
            for entry in migrations {
                let state = output.toned(tone(entry.state), &entry.state.to_string(), 7);
                let run_on = entry.run_on.as_deref().unwrap_or_default();
                let text = format!("  {state}  {:1$}  {run_on}", name(entry), width.unwrap_or(0));
                output.result(text.trim_end());
            }
        }
    }
}

/// How the state of a migration is shown.
pub(super) fn tone(state: MigrationState) -> Tone {
    match state {
        MigrationState::Applied => Tone::Good,
        MigrationState::Pending => Tone::Warning,
        MigrationState::Unknown => Tone::Bad,
    }
}
