//! `shell`: the server's own client, or sqlite3, on a database.
//!
//! The client takes part in the terminal, and its exit code is that of the command. Its arguments never have a password:
//! that is in the environment (PostgreSQL) or in a file which only this user can read (MySQL and MariaDB), and which is
//! removed when the client ends.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

#[cfg(any(feature = "postgres", feature = "mysql"))]
use tempfile::TempDir;
use tokio::process::Command;

use super::command::ShellArgs;
use super::databases::Databases;
use super::exit::{Caused, Exit, Failure, Outcome};
use super::interrupt::Interrupts;
use super::output::Output;
use super::url::url_of;
use crate::cause::DriverError;
use crate::registry::Located;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::settings::url::tls::PemSource;
use crate::settings::{BackendKind, DatabaseUrl, EngineOptions, Pooler};

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

/// How a client is begun on a database.
struct Client {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Variables that are set, or removed.
    variables: Vec<(OsString, Option<OsString>)>,
    /// The package of Debian that has the program. `None` for a program that the user has chosen.
    package: Option<&'static str>,
    files: Files,
}

/// What a client is made for.
struct Wanted<'a> {
    url: &'a DatabaseUrl,
    options: &'a EngineOptions,
    /// The program that the user has chosen.
    program: Option<&'a Path>,
}

impl Wanted<'_> {
    fn package(&self, name: &'static str) -> Option<&'static str> {
        self.program.is_none().then_some(name)
    }
}

pub(super) async fn run(databases: &Databases, output: &Output, arguments: ShellArgs) -> Outcome {
    let located = databases.locate(&arguments.database).await?;
    let url = url_of(&located, arguments.migrate).await?;
    let Located { settings, .. } = &located;
    let mut options = settings.options.clone();
    if arguments.migrate && settings.migrate_url.is_some() {
        options.pooler = Pooler::None;
    }
    let wanted = Wanted { url: &url, options: &options, program: arguments.program.as_deref() };
    let failed = |error| {
        let message = format!("bind `{}`: the shell could not be prepared", settings.key);
        Caused::new(message, error)
    };
    let client = client(&wanted).await.map_err(failed)?;
    client.run(output, arguments.arguments).await
}

async fn client(wanted: &Wanted<'_>) -> Result<Client, DriverError> {
    match wanted.url.backend() {
        #[cfg(feature = "postgres")]
        BackendKind::Postgres => postgres::client(wanted),
        #[cfg(feature = "mysql")]
        BackendKind::Mysql => mysql::client(wanted).await,
        #[cfg(feature = "sqlite")]
        BackendKind::Sqlite => sqlite::client(wanted),
        #[cfg(not(all(feature = "postgres", feature = "mysql", feature = "sqlite")))]
        off => unreachable!("the settings refuse {off}, whose feature is off"),
    }
}

impl Client {
    async fn run(self, output: &Output, arguments: Vec<OsString>) -> Outcome {
        // They are removed at the end of this function.
        let Self { program, arguments: own, variables, package, files: _files } = self;
        let mut command = Command::new(&program);
        command.args(own).args(arguments);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // Ctrl-C is for the client, which cancels a statement by it. This process has to survive it, to remove the files.
        let interrupts = Interrupts::left_to_child();
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_begun(&program, package, error))?;
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = interrupts.first() => {
                child.start_kill()?;
                child.wait().await
            }
        };
        let status = ended.map_err(|error| not_begun(&program, package, error))?;
        if signal_of(status).is_some() {
            output.message(format_args!("{} was ended by a signal", program.display()));
        }
        Ok(exit_of(status))
    }
}

fn not_begun(program: &Path, package: Option<&str>, error: io::Error) -> Failure {
    let program = program.display();
    let message = match (error.kind(), package) {
        (ErrorKind::NotFound, Some(package)) => format!(
            "`{program}` was not found: install it (Debian's package {package}), or name another program by --program"
        ),
        (ErrorKind::NotFound, None) => format!("`{program}` was not found"),
        _ => format!("`{program}` could not be run"),
    };
    Failure::from(Caused::new(message, error))
}

/// The signal that has ended a process.
fn signal_of(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    return None;
}

fn exit_of(status: ExitStatus) -> Exit {
    // As a shell reports it.
    let code = status.code().or_else(|| signal_of(status).map(|signal| 128 + signal));
    match code.map(u8::try_from) {
        Some(Ok(0)) => Exit::Done,
        Some(Ok(code)) => Exit::Program(code),
        _ => Exit::Failed,
    }
}

/// A folder that only this user can enter.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn own_folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("registry-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir()
}

/// Files for a client, which only this user can read. They are removed when the value is dropped.
#[derive(Default)]
struct Files {
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    folder: Option<TempDir>,
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl Files {
    /// Writes a file, and returns its path.
    fn write(&mut self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let folder = match &mut self.folder {
            Some(folder) => folder,
            none => none.insert(own_folder()?),
        };
        let path = folder.path().join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        // psql refuses the key of a certificate that others may read.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        io::Write::write_all(&mut options.open(&path)?, content)?;
        Ok(path)
    }

    /// The path of what may be in memory.
    fn path_of(&mut self, name: &str, source: &PemSource) -> io::Result<PathBuf> {
        match source {
            PemSource::File(path) => Ok(path.clone()),
            PemSource::Memory(pem) => self.write(name, pem.expose().as_bytes()),
        }
    }
}
