//! The two files of `examples/data`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{Airport, Route};

/// Everything in the files.
pub(crate) struct Data {
    pub(crate) airports: Vec<Airport>,
    pub(crate) routes: Vec<Route>,
}

impl Data {
    pub(crate) fn read(folder: &Path) -> Result<Self, DataError> {
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

/// A file that is not there, or a line in it that makes no sense.
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
