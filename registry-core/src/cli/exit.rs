//! How a command ends: its exit code, and the errors that stop it.

use std::error::Error as StdError;
use std::process::ExitCode;

use crate::cause::DriverError;

/// How a command ends. The table of the [module](super) is for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    Usage,
    Pending,
    Tenants,
    LeaseHeld,
    Interrupted,
    /// The code of a program that the command has run.
    Program(u8),
}

impl Exit {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Pending => 3,
            Self::Tenants => 4,
            Self::LeaseHeld => 5,
            // As shells report a program that SIGINT has ended.
            Self::Interrupted => 130,
            Self::Program(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command stopped.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) error: DriverError,
}

impl Failure {
    /// The arguments do not fit the program's binds.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, error: message.into().into() }
    }

    pub(super) fn with_exit(exit: Exit, error: impl Into<DriverError>) -> Self {
        Self { exit, error: error.into() }
    }

    /// The error and its causes.
    pub(super) fn chain(&self) -> Vec<String> {
        chain(&*self.error)
    }
}

/// The messages of an error and its causes. A cause that repeats the message before it is left out.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let mut messages: Vec<String> = causes.map(ToString::to_string).collect();
    messages.dedup();
    messages
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }
}

pub(super) type Outcome = Result<Exit, Failure>;

/// A message of the command line over an error of the library or of the system.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Caused {
    pub(super) message: String,
    pub(super) source: DriverError,
}

impl Caused {
    pub(super) fn new(message: impl Into<String>, source: impl Into<DriverError>) -> Self {
        Self { message: message.into(), source: source.into() }
    }
}
