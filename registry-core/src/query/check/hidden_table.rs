//! The error of a query that has a table of another bind.

use std::fmt;

use diesel::result::Error as DieselError;

use crate::settings::BindKey;

/// A query was refused and not sent, because one of its tables belongs to another bind.
///
/// Diesel's `QueryBuilderError` contains this error:
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
    /// The key of the query's bind.
    pub key: String,
    /// What kind of item was found: `table`.
    pub noun: &'static str,
    /// The name of the table in SQL.
    pub name: String,
    /// The key of the bind that the table belongs to.
    pub other: BindKey,
    /// The Rust path of the table's module. `Some` only if the query's bind has a table of the same name, so that the name
    /// alone would be ambiguous.
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
