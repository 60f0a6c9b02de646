//! [`Databases`]: what a program tells the command line, and the start of each command.

use std::fmt;
use std::process::ExitCode;

use tokio::runtime::Handle;

use super::command::{DatabaseArgs, DatabaseCommand, DatabaseSubcommand};
use super::exit::{Exit, Failure, Outcome};
use super::output::Output;
use super::{check, completions, create, drop, shell, url, verify};
use crate::registry::{Located, Registry, Tenancy, Tenant};

/// The databases of a program, on which a [`DatabaseCommand`] is run.
///
/// See the [module](super) for a whole program.
#[must_use = "nothing is done until `run` is awaited"]
pub struct Databases {
    pub(super) registry: Registry,
    program: Option<fn() -> clap::Command>,
}

impl Databases {
    /// The databases of a registry.
    pub fn new(registry: &Registry) -> Self {
        Self { registry: registry.clone(), program: None }
    }

    /// Names the program's own arguments, of which `completions` prints the completions. Without it, they are those of the
    /// commands alone, as subcommands of the program.
    pub fn program<P: clap::CommandFactory>(mut self) -> Self {
        self.program = Some(P::command);
        self
    }

    /// Runs a command and returns its exit code, whose meaning is in the table of the [module](super).
    ///
    /// Results go to standard output; progress, questions and errors to standard error. The future has to be polled in a
    /// Tokio runtime with all drivers (`enable_all`, as `#[tokio::main]` does).
    ///
    /// Ctrl-C and SIGTERM do not end a run of migrations at once: the migration that is being run comes to its end, nothing
    /// new begins, and what was done is printed. A second Ctrl-C ends the process. Dropping the future drops the
    /// operation: see there what goes on ([`Registry::migrate`], [`Registry::create_tenant`]).
    pub async fn run(self, command: DatabaseCommand) -> ExitCode {
        let mut output = Output::of_process(command.0.wants_json());
        let outcome = match Handle::try_current() {
            Ok(_) => self.dispatch(&mut output, command.0).await,
            Err(_) => Err(Failure::usage("commands can only be run inside a Tokio runtime")),
        };
        let exit = match outcome {
            Ok(exit) => exit,
            Err(failure) => {
                output.failure(&failure);
                failure.exit
            }
        };
        output.finish(exit).into()
    }

    async fn dispatch(self, output: &mut Output, command: DatabaseSubcommand) -> Outcome {
        match command {
            DatabaseSubcommand::Create(arguments) => create::run(&self, output, &arguments).await,
            DatabaseSubcommand::Drop(arguments) => drop::run(&self, output, &arguments).await,
            DatabaseSubcommand::Verify(_) => verify::run(&self, output).await,
            DatabaseSubcommand::Check(arguments) => check::run(&self, output, &arguments).await,
            DatabaseSubcommand::Url(arguments) => url::run(&self, output, &arguments).await,
            DatabaseSubcommand::Shell(arguments) => shell::run(&self, output, arguments).await,
            DatabaseSubcommand::Completions(arguments) => {
                completions::run(self.program, arguments.shell)
            }
            _ => Ok(Exit::Done),
        }
    }

    /// The database that the arguments name.
    pub(super) async fn locate(&self, arguments: &DatabaseArgs) -> Result<Located, Failure> {
        let tenancy = self.tenancy(&arguments.bind)?;
        let tenant = self.checked_tenant(&arguments.bind, tenancy, arguments.tenant.as_deref())?;
        Ok(self.registry.locate(&arguments.bind, tenant.as_ref()).await?)
    }

    /// Whether the bind has one database, or one for each tenant.
    pub(super) fn tenancy(&self, key: &str) -> Result<Tenancy, Failure> {
        let overview = self.registry.overview();
        match overview.iter().find(|bind| bind.key == *key) {
            Some(bind) => Ok(bind.tenancy),
            None => Err(Failure::with_exit(Exit::Usage, self.registry.unknown_bind(key))),
        }
    }

    /// The tenant that the arguments name, if the bind has tenants, and `None` if it has none.
    pub(super) fn checked_tenant(
        &self,
        key: &str,
        tenancy: Tenancy,
        name: Option<&str>,
    ) -> Result<Option<Tenant>, Failure> {
        match (tenancy, name) {
            (Tenancy::Single, None) => Ok(None),
            (Tenancy::Single, Some(_)) => Err(Failure::usage(format!(
                "bind `{key}` has one database for all tenants: leave out --tenant"
            ))),
            (_, None) => Err(Failure::usage(format!(
                "bind `{key}` has a {} for each tenant: add --tenant NAME",
                if tenancy == Tenancy::SchemaPerTenant { "schema" } else { "database" }
            ))),
            (_, Some(name)) => {
                let tenant = self.registry.tenant(name);
                Ok(Some(tenant.map_err(|error| Failure::with_exit(Exit::Usage, error))?))
            }
        }
    }
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Databases").field("registry", &self.registry).finish_non_exhaustive()
    }
}
