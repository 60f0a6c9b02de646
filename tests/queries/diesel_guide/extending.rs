//! The query builder is extended: functions, operators, an expression, and a query of a type of its own.

use diesel::backend::Backend;
use diesel::expression::{AsExpression, ValidGrouping, is_aggregate};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Bool, Integer, Nullable, Text};

use self::pagination::Paginate;
use super::prelude::*;

#[expect(clippy::duplicate_mod, reason = "the point: one program, other imports")]
pub(super) mod pagination;

diesel::table! {
    articles (id) { id -> Integer, title -> VarChar, subtitle -> Nullable<VarChar>, }
}

pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE articles (id INTEGER PRIMARY KEY NOT NULL, title VARCHAR(50) NOT NULL, subtitle VARCHAR(50))",
    "INSERT INTO articles VALUES (1, 'one', 'first'), (2, 'two', NULL), (3, 'three', NULL), (4, 'four', NULL)",
];

diesel::define_sql_function! {
    fn coalesce(value: Nullable<Text>, otherwise: Text) -> Text;
}

diesel::infix_operator!(Remainder, " % ", Integer);
diesel::postfix_operator!(IsMissing, " IS NULL", Bool);

fn remainder<L, R>(left: L, right: R) -> Remainder<L, R::Expression>
where
    L: Expression<SqlType = Integer>,
    R: AsExpression<Integer>,
{
    Remainder::new(left, right.as_expression())
}

/// A text in capital letters.
#[derive(Debug, Clone, Copy, QueryId)]
struct Shouted<E>(E);

impl<E: Expression<SqlType = Text>> Expression for Shouted<E> {
    type SqlType = Text;
}

impl<E, DB: Backend> QueryFragment<DB> for Shouted<E>
where
    E: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> diesel::QueryResult<()> {
        out.push_sql("UPPER(");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(")");
        Ok(())
    }
}

impl<E: AppearsOnTable<QS>, QS> AppearsOnTable<QS> for Shouted<E> where Self: Expression {}

impl<E: SelectableExpression<QS>, QS> SelectableExpression<QS> for Shouted<E> where
    Self: AppearsOnTable<QS>
{
}

impl<E> ValidGrouping<()> for Shouted<E> {
    type IsAggregate = is_aggregate::No;
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let subtitles = articles::table
        .filter(articles::id.le(2))
        .order(articles::id)
        .select(coalesce(articles::subtitle, "none"));
    assert_eq!(subtitles.load::<String>(&mut *connection).await?, ["first", "none"]);
    let even = articles::table
        .filter(remainder(articles::id, 2).eq(0))
        .filter(IsMissing::new(articles::subtitle))
        .order(articles::id)
        .select(Shouted(articles::title));
    assert_eq!(even.load::<String>(&mut *connection).await?, ["TWO", "FOUR"]);
    let shouted = articles::table.filter(Shouted(articles::title).eq("ONE")).count();
    assert_eq!(shouted.get_result::<i64>(&mut *connection).await?, 1);

    let page = articles::table.order(articles::id).select((articles::id, articles::title));
    let page = page.paginate(2).per_page(3).load_and_count_pages::<(i32, String)>(connection);
    assert_eq!(page.await?, (vec![(4, "four".to_owned())], 2));
    Ok(())
}
