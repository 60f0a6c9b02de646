//! The cause of an error: what a driver has reported, and the chain of sources.

mod kind;
mod logged;

use std::error::Error as StdError;
use std::fmt;

pub(crate) use kind::error_kind;
pub(crate) use logged::Logged;

/// What a database driver has reported, in its own words.
pub type DriverError = Box<dyn StdError + Send + Sync>;

/// Shows an error with all its sources, in one line, separated by colons.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
