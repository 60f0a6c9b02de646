//! The error of a query that has a table of another bind.

use std::fmt;

use diesel::result::Error as DieselError;

use crate::settings::BindKey;

/// A query was not sent, as a part of it belongs to another database.
///
/// It is what Diesel's `QueryBuilderError` has in it:
///
/// ```
/// use registry_core::query::HiddenTable;
///
/// fn is_hidden_table(error: &diesel::result::Error) -> bool {
///     match error {
///         diesel::result::Error::QueryBuilderError(cause) => cause.is::<HiddenTable>(),
///         _ => false,
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HiddenTable {
    /// The bind of the query.
    pub key: String,
    /// `table`.
    pub noun: &'static str,
    /// Its name in the database.
    pub name: String,
    /// The bind that it belongs to.
    pub other: BindKey,
    /// The path of its module in the program, if the bind of the query has a table of that name as well.
    pub path: Option<&'static str>,
}

impl fmt::Display for HiddenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, noun, name, other, path } = self;
        write!(
            f,
            "a query for bind `{key}` has the {noun} `{name}`, which belongs to bind `{other}`"
        )?;
        match path {
            Some(path) => write!(f, " (`{path}` in the program)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for HiddenTable {}

impl From<HiddenTable> for DieselError {
    fn from(error: HiddenTable) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}
