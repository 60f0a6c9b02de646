//! Exhaustion of the operating system's resources for a process: file descriptors, memory, buffers.

use std::io;
#[cfg(feature = "sqlite")]
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::backend::error::ConnectError;
use crate::cause::DriverError;

/// Whether the operating system has refused an operation for lack of file descriptors, memory or buffers. Such a failure is
/// transient, because resources become free when other users return them.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
        || error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
}

/// ERROR_TOO_MANY_OPEN_FILES, WSAEMFILE and WSAENOBUFS.
#[cfg(windows)]
const EXHAUSTED: [i32; 3] = [4, 10024, 10055];

/// ENFILE, EMFILE and ENOBUFS. The number of the last one differs between systems.
#[cfg(not(windows))]
const EXHAUSTED: [i32; 3] = [23, 24, if cfg!(target_os = "linux") { 105 } else { 55 }];

/// Whether Diesel could not read the files of migrations because the system had no file descriptor left.
pub(crate) fn lacks_files(error: &DriverError) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return is_exhausted(error);
    }
    // Neither of Diesel's errors has a source. The type of the second is not exported, but its text ends in the text of the
    // system's error.
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

/// Whether this process can open the number of files that reading migrations from files needs at once.
pub(crate) fn can_read_files() -> bool {
    // A pipe takes two file descriptors, as do a folder and one of its files.
    io::pipe().is_ok()
}

/// The time of the last observed exhaustion of file descriptors.
#[cfg(feature = "sqlite")]
static SHORT: Mutex<Option<Instant>> = Mutex::new(None);

/// The system's error if this process cannot open four more files, which is more than a SQLite database with its
/// write-ahead log takes.
#[cfg(feature = "sqlite")]
pub(super) fn no_files_left() -> Option<io::Error> {
    // A pipe takes two file descriptors. Unlike a second handle to the database, closing it releases no file locks.
    match (io::pipe(), io::pipe()) {
        (Ok(_), Ok(_)) => None,
        (Err(error), _) | (_, Err(error)) => {
            *SHORT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            Some(error)
        }
    }
}

/// Whether file descriptors were exhausted within the last second. A failure in that time may have had this cause, even if
/// file descriptors are available again.
#[cfg(feature = "sqlite")]
pub(super) fn files_were_short() -> bool {
    let noticed = *SHORT.lock().unwrap_or_else(PoisonError::into_inner);
    noticed.is_some_and(|noticed| noticed.elapsed() < Duration::from_secs(1))
}

/// The error of a server that could not be reached: for lack of resources, or because of the network.
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
