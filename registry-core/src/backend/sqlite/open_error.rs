//! Why a database cannot be opened.
//!
//! SQLite says "unable to open database file", whatever the reason. The operating system is asked again
//! here, without ever opening the file itself: closing any handle to it would let go of the locks that
//! SQLite holds on it in this process (<https://www.sqlite.org/howtocorrupt.html>, 2.2).

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::result::ConnectionError;

use crate::backend::error::ConnectError;
use crate::backend::resource_exhaustion::{files_were_short, is_exhausted, no_files_left};
use crate::cause::DriverError;
use crate::settings::url::SqliteFile;

/// Why a connection could not be opened.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// Its thread could not be started.
    NoThread(io::Error),
    Refused(ConnectionError),
}

impl From<NotOpened> for ConnectionError {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::NoThread(error) => Self::BadConnection(format!(
                "the thread of a connection could not be started: {error}"
            )),
            NotOpened::Refused(error) => error,
        }
    }
}

/// The folder of a database was to be made.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} cannot be created", folder.display())]
struct NoFolder {
    folder: PathBuf,
    source: io::Error,
}

pub(super) fn no_folder(folder: &Path, source: io::Error) -> ConnectError {
    let is_exhausted = is_exhausted(&source);
    let error = Box::new(NoFolder { folder: folder.to_owned(), source });
    if is_exhausted { ConnectError::Resources(error) } else { ConnectError::Other(error) }
}

/// Why there is no connection.
pub(super) enum Failure {
    Final(ConnectError),
    /// The operating system has nothing against it, or not any more: most likely it had no files left a
    /// moment ago.
    Passing(ConnectError),
}

/// What an error of opening means.
pub(super) fn explain(error: NotOpened, file: &SqliteFile) -> Failure {
    let error: DriverError = match error {
        // EAGAIN, where a process may have no more threads.
        NotOpened::NoThread(error)
            if error.kind() == ErrorKind::WouldBlock || is_exhausted(&error) =>
        {
            return Failure::Final(ConnectError::Resources(error.into()));
        }
        NotOpened::NoThread(error) => return Failure::Final(ConnectError::Other(error.into())),
        NotOpened::Refused(ConnectionError::BadConnection(message)) => message.into(),
        NotOpened::Refused(error) => error.into(),
    };
    let Some(path) = file.path() else { return Failure::Final(ConnectError::Other(error)) };
    match why_not(path, file.is_created()) {
        Why::Missing => Failure::Final(ConnectError::UnknownDatabase(error)),
        Why::Refused(error) if is_exhausted(&error) => {
            Failure::Final(ConnectError::Resources(error.into()))
        }
        Why::Refused(error) => Failure::Final(ConnectError::Other(error.into())),
        Why::Unknown => Failure::Passing(ConnectError::Other(error)),
    }
}

/// What the failure of a statement that prepares a connection means.
///
/// Called while the connection is open: what it has of the files is not free.
pub(super) fn explain_setup(statement: String, error: diesel::result::Error) -> Failure {
    // The first to read opens the write-ahead log.
    match no_files_left() {
        Some(error) => Failure::Final(ConnectError::Resources(error.into())),
        None if files_were_short() => {
            Failure::Passing(ConnectError::Setup { statement, source: error.into() })
        }
        None => Failure::Final(ConnectError::Setup { statement, source: error.into() }),
    }
}

enum Why {
    /// There is no such file, and none is to be made.
    Missing,
    /// The operating system does not let us.
    Refused(io::Error),
    /// It has nothing against it, or not any more.
    Unknown,
}

fn why_not(path: &Path, is_created: bool) -> Why {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Why::Refused(ErrorKind::IsADirectory.into()),
        Ok(_) => no_files_left().map_or(Why::Unknown, Why::Refused),
        Err(error) if error.kind() != ErrorKind::NotFound => Why::Refused(error),
        Err(_) if !is_created => Why::Missing,
        Err(_) => match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) if !folder.exists() => Why::Missing,
            Some(folder) => try_to_create_in(folder),
            None => try_to_create_in(Path::new(".")),
        },
    }
}

/// Makes another file beside the one that could not be made, and removes it.
fn try_to_create_in(folder: &Path) -> Why {
    static COUNT: AtomicU32 = AtomicU32::new(0);

    if let Some(error) = no_files_left() {
        return Why::Refused(error);
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = folder.join(format!(".registry-try-{}-{number}", std::process::id()));
    match OpenOptions::new().write(true).create_new(true).open(&name) {
        Ok(_) => {
            // One that stays is empty, and in nobody's way.
            let _ = fs::remove_file(&name);
            Why::Unknown
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Why::Unknown,
        Err(error) => Why::Refused(error),
    }
}
