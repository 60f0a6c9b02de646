//! The check at run time that a query has pages: it sees what is in a box.

use std::fmt;

use diesel::backend::Backend;
use diesel::query_builder::QueryFragment;
use diesel::result::Error as DieselError;

use crate::sql::{Dialect, SelectShape, select_shape, sql_of};

/// A query was refused and not sent, because it has no pages: it has no order, or it is limited or locked already.
///
/// Diesel's `QueryBuilderError` contains this error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoPages {
    /// The query has no `ORDER BY`, so that each page could have any rows.
    NoOrder,
    /// The query has an `ORDER BY` of its own, beside the order of the keyset.
    OwnOrder,
    /// The query has a `LIMIT` or an `OFFSET` of its own.
    OwnLimit,
    /// The query has a locking clause, such as `FOR UPDATE`.
    OwnLock,
    /// The text of the query cannot be read, so it is not known whether it has an order.
    Unreadable,
}

impl fmt::Display for NoPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoOrder => {
                "a query without ORDER BY has no pages: the database may return its rows in \
                 another order for each page"
            }
            Self::OwnOrder => {
                "a query of a keyset must not have an ORDER BY of its own: the keys are its order"
            }
            Self::OwnLimit => "a query of pages must not have a LIMIT or an OFFSET of its own",
            Self::OwnLock => {
                "a query of pages must not have a locking clause: all rows would be locked to count them"
            }
            Self::Unreadable => {
                "it is not known whether the query has an ORDER BY, as its SQL cannot be read"
            }
        })
    }
}

impl std::error::Error for NoPages {}

impl From<NoPages> for DieselError {
    fn from(error: NoPages) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

/// The shape of a query that is to have pages. An error if it has a limit or a lock of its own.
pub(in crate::query) fn read_shape<DB>(
    dialect: Dialect,
    query: &impl QueryFragment<DB>,
) -> Result<SelectShape, NoPages>
where
    DB: Backend<QueryBuilder: Default> + Default,
{
    let shape = select_shape(dialect, &sql_of::<DB>(query)).ok_or(NoPages::Unreadable)?;
    if shape.has_limit {
        return Err(NoPages::OwnLimit);
    }
    if shape.has_lock {
        return Err(NoPages::OwnLock);
    }
    Ok(shape)
}
