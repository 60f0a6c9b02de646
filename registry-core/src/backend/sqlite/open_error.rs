//! Why a database could not be opened.
//!
//! SQLite reports "unable to open database file", whatever the reason. So the operating system is asked, without opening the
//! file itself: closing any handle to the file would release the locks that SQLite holds on it in this process
//! (<https://www.sqlite.org/howtocorrupt.html>, 2.2).

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
    /// There is no thread for the connection, and none could be started.
    NoThread(io::Error),
    Refused(ConnectionError),
}

impl From<NotOpened> for ConnectionError {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::NoThread(error) => Self::BadConnection(format!(
                "a thread for the connection could not be started: {error}"
            )),
            NotOpened::Refused(error) => error,
        }
    }
}

/// The parent folder of a database could not be created.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} cannot be created", folder.display())]
struct FolderNotCreated {
    folder: PathBuf,
    source: io::Error,
}

pub(super) fn folder_error(folder: &Path, source: io::Error) -> ConnectError {
    let is_exhausted = is_exhausted(&source);
    let error = Box::new(FolderNotCreated { folder: folder.to_owned(), source });
    if is_exhausted { ConnectError::Resources(error) } else { ConnectError::Other(error) }
}

/// The failure to open a connection, and whether another attempt may help.
pub(super) enum OpenFailure {
    Final(ConnectError),
    /// The operating system reports no obstacle, or no longer reports one: most likely there was no file descriptor left a
    /// moment ago.
    Transient(ConnectError),
}

/// Classifies an error of opening a database.
pub(super) fn open_failure(error: NotOpened, file: &SqliteFile) -> OpenFailure {
    let error: DriverError = match error {
        // EAGAIN: the process may not create more threads.
        NotOpened::NoThread(error)
            if error.kind() == ErrorKind::WouldBlock || is_exhausted(&error) =>
        {
            return OpenFailure::Final(ConnectError::Resources(error.into()));
        }
        NotOpened::NoThread(error) => return OpenFailure::Final(ConnectError::Other(error.into())),
        NotOpened::Refused(ConnectionError::BadConnection(message)) => message.into(),
        NotOpened::Refused(error) => error.into(),
    };
    let Some(path) = file.path() else { return OpenFailure::Final(ConnectError::Other(error)) };
    match obstacle(path, file.is_created()) {
        Obstacle::Missing => OpenFailure::Final(ConnectError::UnknownDatabase(error)),
        Obstacle::Refused(error) if is_exhausted(&error) => {
            OpenFailure::Final(ConnectError::Resources(error.into()))
        }
        Obstacle::Refused(error) => OpenFailure::Final(ConnectError::Other(error.into())),
        Obstacle::Unknown => OpenFailure::Transient(ConnectError::Other(error)),
    }
}

/// Classifies the failure of a setup statement.
///
/// Called while the connection is open, so the file descriptors that it holds count as used.
pub(super) fn setup_failure(statement: String, error: diesel::result::Error) -> OpenFailure {
    // The first statement that reads opens the write-ahead log.
    match no_files_left() {
        Some(error) => OpenFailure::Final(ConnectError::Resources(error.into())),
        None if files_were_short() => {
            OpenFailure::Transient(ConnectError::Setup { statement, source: error.into() })
        }
        None => OpenFailure::Final(ConnectError::Setup { statement, source: error.into() }),
    }
}

enum Obstacle {
    /// The file does not exist, and the settings do not allow creating it.
    Missing,
    /// The operating system refuses access.
    Refused(io::Error),
    /// The operating system reports no obstacle, or no longer reports one.
    Unknown,
}

fn obstacle(path: &Path, is_created: bool) -> Obstacle {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Obstacle::Refused(ErrorKind::IsADirectory.into()),
        Ok(_) => no_files_left().map_or(Obstacle::Unknown, Obstacle::Refused),
        Err(error) if error.kind() != ErrorKind::NotFound => Obstacle::Refused(error),
        Err(_) if !is_created => Obstacle::Missing,
        Err(_) => match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) if !folder.exists() => Obstacle::Missing,
            Some(folder) => try_to_create_in(folder),
            None => try_to_create_in(Path::new(".")),
        },
    }
}

/// Creates another file beside the one that could not be created, and removes it again.
fn try_to_create_in(folder: &Path) -> Obstacle {
    static COUNT: AtomicU32 = AtomicU32::new(0);

    if let Some(error) = no_files_left() {
        return Obstacle::Refused(error);
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = folder.join(format!(".registry-try-{}-{number}", std::process::id()));
    match OpenOptions::new().write(true).create_new(true).open(&name) {
        Ok(_) => {
            // If the removal fails, an empty file stays, under a name that nothing else uses.
            let _ = fs::remove_file(&name);
            Obstacle::Unknown
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Obstacle::Unknown,
        Err(error) => Obstacle::Refused(error),
    }
}
