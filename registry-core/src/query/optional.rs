//! The method that turns the error for a missing row into `None`.

use diesel::QueryResult;
use diesel::result::Error as DieselError;

use crate::error::Error;

/// Turns Diesel's `NotFound` into `None`, for the errors of all executors.
///
/// Import it in place of Diesel's trait of the same name, which is implemented for Diesel's own error alone.
///
/// ```
/// use diesel::prelude::{ExpressionMethods, QueryDsl};
/// use registry_core::{BindDsl, OptionalExtension, Registry, RunQueryDsl, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, what -> Text, } }
/// bind_tables!(db = "analytics", backend = Sqlite; events);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let query = events::table.filter(events::id.eq(1)).select(events::what);
/// let missing: Option<String> = query.first(&registry).await.optional()?;
/// assert_eq!(missing, None);
/// # Ok(())
/// # }
/// ```
pub trait OptionalExtension<T, E> {
    /// `Ok(None)` if the error is `NotFound`.
    ///
    /// # Errors
    ///
    /// Every other error is returned as it is.
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
