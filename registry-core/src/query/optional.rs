//! No row as `None`.

use diesel::QueryResult;
use diesel::result::Error as DieselError;

use crate::error::Error;

/// Turns Diesel's `NotFound` into `None`, for the errors of all executors.
///
/// Import it in place of Diesel's trait of that name, which knows only Diesel's own error.
pub trait OptionalExtension<T, E> {
    /// `Ok(None)` where there was no row.
    ///
    /// # Errors
    ///
    /// All others.
    fn optional(self) -> Result<Option<T>, E>;
}

impl<T> OptionalExtension<T, DieselError> for QueryResult<T> {
    fn optional(self) -> QueryResult<Option<T>> {
        diesel::OptionalExtension::optional(self)
    }
}

impl<T> OptionalExtension<T, Error> for Result<T, Error> {
    fn optional(self) -> Result<Option<T>, Error> {
        match self {
            Ok(row) => Ok(Some(row)),
            Err(Error::Query(error)) if matches!(error.as_diesel(), DieselError::NotFound) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
