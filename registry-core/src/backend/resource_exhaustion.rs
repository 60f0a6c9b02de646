//! Running out of what the operating system gives a process.

use std::io;
#[cfg(feature = "sqlite")]
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::backend::error::ConnectError;
use crate::cause::DriverError;

/// Whether the operating system refused for want of files, memory or buffers: it may have some again
/// when others have gone.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
        || error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
}

/// ERROR_TOO_MANY_OPEN_FILES, WSAEMFILE and WSAENOBUFS.
#[cfg(windows)]
const EXHAUSTED: [i32; 3] = [4, 10024, 10055];

/// ENFILE, EMFILE and ENOBUFS, of which only the last has not the same number everywhere.
#[cfg(not(windows))]
const EXHAUSTED: [i32; 3] = [23, 24, if cfg!(target_os = "linux") { 105 } else { 55 }];

/// Whether `error` is the system's refusal of another file to Diesel's migrations, which are read from files.
pub(crate) fn lacks_files(error: &DriverError) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return is_exhausted(error);
    }
    // Neither of Diesel's errors has a source; the type of the second is not exported, but it ends in the words of
    // the system's error.
    match error.downcast_ref::<diesel_migrations::MigrationError>() {
        Some(diesel_migrations::MigrationError::IoError(error)) => is_exhausted(error),
        Some(_) => false,
        None => {
            let text = error.to_string();
            EXHAUSTED
                .iter()
                .any(|code| text.ends_with(&io::Error::from_raw_os_error(*code).to_string()))
        }
    }
}

/// Whether this process can open as many files as are open at once where migrations are read from files.
pub(crate) fn can_read_files() -> bool {
    // A pipe is two of them, as are a folder and one of its files.
    io::pipe().is_ok()
}

/// When files were last seen to be short.
#[cfg(feature = "sqlite")]
static SHORT: Mutex<Option<Instant>> = Mutex::new(None);

/// Why this process can open no more files, if it cannot: as many as a SQLite database with its
/// write-ahead log takes.
#[cfg(feature = "sqlite")]
pub(super) fn no_files_left() -> Option<io::Error> {
    // A pipe is two of them, and lets go of no locks when it is closed.
    match (io::pipe(), io::pipe()) {
        (Ok(_), Ok(_)) => None,
        (Err(error), _) | (_, Err(error)) => {
            *SHORT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            Some(error)
        }
    }
}

/// Whether files were short a moment ago. Whatever failed meanwhile may have failed for that reason,
/// though there are some again.
#[cfg(feature = "sqlite")]
pub(super) fn files_were_short() -> bool {
    let noticed = *SHORT.lock().unwrap_or_else(PoisonError::into_inner);
    noticed.is_some_and(|noticed| noticed.elapsed() < Duration::from_secs(1))
}

/// A server that was not reached, for that reason.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) fn unreachable_error(error: DriverError) -> ConnectError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(error_now) = cause {
        if error_now.downcast_ref::<io::Error>().is_some_and(is_exhausted) {
            return ConnectError::Resources(error);
        }
        cause = error_now.source();
    }
    ConnectError::Unreachable(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn too_many_open_files_is_no_lasting_refusal() {
        let error = io::Error::from_raw_os_error(24);
        assert!(is_exhausted(&error), "{error}");
        assert!(!is_exhausted(&io::ErrorKind::ConnectionRefused.into()));
        assert!(!is_exhausted(&io::ErrorKind::PermissionDenied.into()));
    }

    #[test]
    #[cfg(all(unix, any(feature = "mysql", feature = "postgres")))]
    fn a_server_is_not_reached_for_want_of_sockets() {
        let error = io::Error::from_raw_os_error(24);
        assert!(matches!(unreachable_error(error.into()), ConnectError::Resources(_)));
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(matches!(unreachable_error(error.into()), ConnectError::Unreachable(_)));
    }
}
