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
    /// Whether the name was found in SQL that the program has written, where it could also mean a table of the query's bind
    /// that is not bound.
    pub is_in_text: bool,
}

impl fmt::Display for HiddenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, noun, name, other, path, is_in_text } = self;
        write!(
            f,
            "a query for bind `{key}` has the {noun} `{name}`, which belongs to bind `{other}`"
        )?;
        if let Some(path) = path {
            write!(f, " (`{path}` in the program)")?;
        }
        if *is_in_text {
            write!(
                f,
                ". If bind `{key}` has a table of that name too, bind it, or run the query without `bound_to`, on a session"
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for HiddenTable {}

impl From<HiddenTable> for DieselError {
    fn from(error: HiddenTable) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}
