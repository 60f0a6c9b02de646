//! The two CSV files that the examples load, as models of the example that mounts this module.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::{Airport, Route};

/// Everything in both files.
pub(crate) struct Data {
    pub(crate) airports: Vec<Airport>,
    pub(crate) routes: Vec<Route>,
}

impl Data {
    /// Reads the files in the folder that the first argument of the program names: `examples/data` by default.
    pub(crate) fn read() -> Result<Self, DataError> {
        let folder = std::env::args_os().nth(1).map_or_else(
            || concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data").into(),
            PathBuf::from,
        );
        Ok(Self {
            airports: rows(&folder.join("airports.csv"))?,
            routes: rows(&folder.join("flights-airport.csv"))?,
        })
    }
}

fn rows<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, DataError> {
    csv::Reader::from_path(file)
        .and_then(|reader| reader.into_deserialize().collect())
        .map_err(|cause| DataError { file: file.to_owned(), cause })
}

/// A file that is missing, or a line in it that cannot be parsed.
#[derive(Debug)]
pub(crate) struct DataError {
    file: PathBuf,
    cause: csv::Error,
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}", self.file.display())?;
        match self.cause.position() {
            Some(position) => write!(f, ", line {}", position.line()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
