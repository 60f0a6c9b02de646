//! Queries without a table whose subqueries have some: `select(exists(..))`.

use diesel::internal::table_macro::{NoFromClause, SelectStatement};
use diesel::query_builder::{QueryFragment, SelectClauseExpression};

use super::backend_probe::{Question, TablesIn};

/// A query without a table of its own that selects nothing but subqueries on the database `B`, and what
/// combines them.
pub trait Asks<B> {}

impl<S, D, W, O, L, G, H, LC, E, B> Asks<B>
    for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
where
    S: SelectClauseExpression<NoFromClause, Selection = E>,
    E: QueryFragment<Question<TablesIn<B>>>,
    B: 'static,
{
}
