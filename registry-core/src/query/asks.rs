//! Queries without a table whose subqueries have some: `select(exists(..))`.

use diesel::QueryResult;
use diesel::internal::table_macro::{
    BoxedSelectStatement, FromClause, NoFromClause, SelectStatement,
};
use diesel::query_builder::{AstPass, QueryFragment, SelectClauseExpression};
use diesel::query_source::QuerySource;

use super::combined::Question;

/// A query without a table of its own, all that it selects being subqueries and what combines them.
pub trait Asks {}

impl<S, D, W, O, L, G, H, LC, E> Asks for SelectStatement<NoFromClause, S, D, W, O, L, G, H, LC>
where
    S: SelectClauseExpression<NoFromClause, Selection = E>,
    E: QueryFragment<Question<Subqueries>>,
{
}

/// The question whether there are subqueries.
#[derive(Debug)]
pub enum Subqueries {}

impl<F: QuerySource, S, D, W, O, L, G, H, LC> QueryFragment<Question<Subqueries>, Subqueries>
    for SelectStatement<FromClause<F>, S, D, W, O, L, G, H, LC>
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<Subqueries>>) -> QueryResult<()> {
        Ok(())
    }
}

impl<F: QuerySource, ST, DB, GB> QueryFragment<Question<Subqueries>>
    for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
{
    fn walk_ast<'b>(&'b self, _: AstPass<'_, 'b, Question<Subqueries>>) -> QueryResult<()> {
        Ok(())
    }
}
