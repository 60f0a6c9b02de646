//! The commands and their arguments, as clap reads them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

/// A command on the databases of a program: a [`clap::Subcommand`], to be put into the program's own arguments.
///
/// It can be the whole subcommand of a program, or be flattened into the program's own subcommands
/// (`#[command(flatten)]`), or be nested below one of them (`manage db migrate`). The [module](super) lists the commands.
#[derive(Debug, Clone)]
pub struct DatabaseCommand(pub(super) DatabaseSubcommand);

impl Subcommand for DatabaseCommand {
    fn augment_subcommands(command: Command) -> Command {
        DatabaseSubcommand::augment_subcommands(command)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        DatabaseSubcommand::augment_subcommands_for_update(command)
    }

    fn has_subcommand(name: &str) -> bool {
        DatabaseSubcommand::has_subcommand(name)
    }
}

impl FromArgMatches for DatabaseCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        DatabaseSubcommand::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        DatabaseSubcommand::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }

    fn update_from_arg_matches_mut(&mut self, matches: &mut ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches_mut(matches)
    }
}

/// The commands. Their comments are the texts of `--help`.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum DatabaseSubcommand {
    /// Show each bind, and which of its migrations are applied, pending or unknown
    ///
    /// No table is changed. A bind of whose migrations the program says nothing is listed without being connected to.
    Status(StatusArgs),
    /// Run the pending migrations
    ///
    /// Without options: of every bind that has one database, in the order in which the program names them. A bind with
    /// tenants is migrated with --tenant or --all-tenants.
    Migrate(MigrateArgs),
    /// Revert the migrations that were run last, newest first
    Revert(RevertArgs),
    /// Revert the last migration and run it again
    Redo(RedoArgs),
    /// Create the databases of binds, or tenants with their tables
    ///
    /// The database of a bind is created empty: run `migrate` afterwards. A tenant is created with all its migrations, or
    /// not at all.
    Create(CreateArgs),
    /// Drop the database of a bind, or a tenant, with everything in it
    ///
    /// On a terminal, you are asked for its name. Elsewhere, give the name with --yes-drop.
    Drop(DropArgs),
    /// Check that every database answers, and that the program's models fit their databases
    Verify(VerifyArgs),
    /// Check how long each database takes to answer
    Check(CheckArgs),
    /// Print the URL of a database, for Diesel's command line and other programs
    ///
    /// Without --show-password, the password and whatever else may be secret is left out.
    Url(UrlArgs),
    /// Open psql, mariadb (or mysql) or sqlite3 on a database
    ///
    /// The program's exit code is that of the shell. The password is never in the shell's arguments.
    Shell(ShellArgs),
    /// Print the completions of the command line for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Clone, Args)]
pub(super) struct OutputArgs {
    /// Print JSON on standard output: one document, or one object a line while something runs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct StatusArgs {
    /// Only this bind (may be given several times)
    #[arg(long = "bind", value_name = "KEY")]
    pub(super) binds: Vec<String>,
    /// The migrations of this tenant (may be given several times)
    #[arg(long = "tenant", value_name = "NAME", conflicts_with = "all_tenants")]
    pub(super) tenants: Vec<String>,
    /// The migrations of every tenant: lists those that are not up to date, and counts the others
    #[arg(long)]
    pub(super) all_tenants: bool,
    /// How many tenants are asked at a time
    #[arg(long, value_name = "N", default_value = "4", requires = "all_tenants")]
    pub(super) jobs: std::num::NonZeroUsize,
    /// Exit with 3 if a migration is pending
    #[arg(long)]
    pub(super) exit_code: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct MigrateArgs {
    /// Only this bind (may be given several times)
    #[arg(long = "bind", value_name = "KEY")]
    pub(super) binds: Vec<String>,
    /// Only the databases of this tenant (may be given several times)
    #[arg(long = "tenant", value_name = "NAME", conflicts_with = "all_tenants")]
    pub(super) tenants: Vec<String>,
    /// Every tenant too, after the binds that have one database
    #[arg(long)]
    pub(super) all_tenants: bool,
    /// Run the migrations up to and with this version
    #[arg(long, value_name = "VERSION", conflicts_with = "all_tenants")]
    pub(super) to: Option<String>,
    /// Print the SQL of the pending migrations, and run nothing
    #[arg(long, conflicts_with_all = ["all_tenants", "to", "keep_going"])]
    pub(super) plan: bool,
    /// Migrate this many tenants first, one at a time, and stop if one of them fails
    #[arg(long, value_name = "N", requires = "all_tenants")]
    pub(super) canary: Option<usize>,
    /// How many tenants are migrated at a time
    #[arg(long, value_name = "N", requires = "all_tenants")]
    pub(super) jobs: Option<std::num::NonZeroUsize>,
    /// Go on with the next databases after one has failed
    #[arg(long)]
    pub(super) keep_going: bool,
    /// Connect to each tenant, whatever the ledger has noted of it
    #[arg(long, requires = "all_tenants")]
    pub(super) recheck: bool,
    /// How long to wait while another run holds the lease
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "all_tenants")]
    pub(super) wait_for_lease: Option<Duration>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct LimitArgs {
    /// How long a statement of a migration waits for a lock, such as 5s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) lock_timeout: Option<Duration>,
    /// How often a migration that waited in vain for a lock is tried again
    #[arg(long, value_name = "N")]
    pub(super) lock_retries: Option<u32>,
    /// How long the migrations of one database may take, such as 10min
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) time_limit: Option<Duration>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct RevertArgs {
    /// How many migrations
    #[arg(default_value = "1", value_name = "N")]
    pub(super) count: usize,
    #[command(flatten)]
    pub(super) database: MigratedDatabaseArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct RedoArgs {
    #[command(flatten)]
    pub(super) database: MigratedDatabaseArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// The databases of one bind: its own, or those of some of its tenants.
#[derive(Debug, Clone, Args)]
pub(super) struct MigratedDatabaseArgs {
    /// The bind. It can be left out if only one bind has migrations
    #[arg(long, value_name = "KEY")]
    pub(super) bind: Option<String>,
    /// The tenant (may be given several times)
    #[arg(long = "tenant", value_name = "NAME")]
    pub(super) tenants: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct CreateArgs {
    /// The binds. Without any: all that have one database
    #[arg(value_name = "KEY")]
    pub(super) binds: Vec<String>,
    /// Create this tenant of the bind (may be given several times)
    #[arg(long = "tenant", value_name = "NAME", requires = "binds")]
    pub(super) tenants: Vec<String>,
    /// Do nothing for what exists already
    #[arg(long)]
    pub(super) if_missing: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct DropArgs {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// The name of the database or tenant, to confirm without a terminal
    #[arg(long, value_name = "NAME")]
    pub(super) yes_drop: Option<String>,
    /// Do nothing if it does not exist
    #[arg(long)]
    pub(super) if_exists: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// One database.
#[derive(Debug, Clone, Args)]
pub(super) struct DatabaseArgs {
    /// The bind
    #[arg(value_name = "KEY")]
    pub(super) bind: String,
    /// The tenant, of a bind with a database or schema for each tenant
    #[arg(long, value_name = "NAME")]
    pub(super) tenant: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    /// Check again and again, until Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,
    /// The pause between two checks
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s", requires = "watch")]
    pub(super) interval: Duration,
    /// How long a database may take to answer
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct UrlArgs {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// The URL that migrations use (`migrate_url`), if the bind has one
    #[arg(long)]
    pub(super) migrate: bool,
    /// Print it with its password, after a question on the terminal
    #[arg(long)]
    pub(super) show_password: bool,
    /// Do not ask whether to show the password
    #[arg(long, requires = "show_password")]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ShellArgs {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// Connect by the URL that migrations use (`migrate_url`), if the bind has one
    #[arg(long)]
    pub(super) migrate: bool,
    /// The program to open, in place of the one that PATH has
    #[arg(long, value_name = "PATH")]
    pub(super) program: Option<PathBuf>,
    /// Arguments for the program, after `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(super) arguments: Vec<OsString>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

impl DatabaseSubcommand {
    /// Whether standard output is to be JSON.
    pub(super) fn wants_json(&self) -> bool {
        let output = match self {
            Self::Status(arguments) => &arguments.output,
            Self::Migrate(arguments) => &arguments.output,
            Self::Revert(arguments) => &arguments.output,
            Self::Redo(arguments) => &arguments.output,
            Self::Create(arguments) => &arguments.output,
            Self::Drop(arguments) => &arguments.output,
            Self::Verify(arguments) => &arguments.output,
            Self::Check(arguments) => &arguments.output,
            Self::Url(arguments) => &arguments.output,
            Self::Shell(_) | Self::Completions(_) => return false,
        };
        output.json
    }
}

fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}
