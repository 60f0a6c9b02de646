//! Models, expressions and wrappers that the program defines itself.

use diesel::dsl::{Select, SingleValue, count_star, sql};
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::sql_types::{Bool, Integer, Nullable};

use super::*;

/// A model with a `select_expression` that is a subquery of another table.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = people)]
struct Visitor {
    #[expect(dead_code, reason = "it is never loaded")]
    id: i32,
    #[diesel(select_expression = far::visits::table.select(max(far::visits::id)).single_value())]
    #[diesel(select_expression_type = SingleValue<Select<far::visits::table, diesel::helper_types::max<far::visits::id>>>)]
    #[expect(dead_code, reason = "it is never loaded")]
    last: Option<i32>,
}

/// An expression whose type does not show its tables.
#[derive(Debug, Clone, Copy, QueryId, ValidGrouping)]
#[diesel(aggregate)]
struct LastVisit;

impl Expression for LastVisit {
    type SqlType = Nullable<Integer>;
}

impl<QS> AppearsOnTable<QS> for LastVisit {}
impl<QS> SelectableExpression<QS> for LastVisit {}

impl QueryFragment<Db> for LastVisit {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("(SELECT MAX(id) FROM ");
        out.push_identifier("visits")?;
        out.push_sql(")");
        Ok(())
    }
}

/// A wrapper whose type shows what it contains.
#[derive(Debug, Clone, Copy, QueryId, ValidGrouping)]
struct Wrapped<E>(E);

impl<E: Expression> Expression for Wrapped<E> {
    type SqlType = E::SqlType;
}

impl<QS, E: AppearsOnTable<QS>> AppearsOnTable<QS> for Wrapped<E> {}
impl<QS, E: SelectableExpression<QS>> SelectableExpression<QS> for Wrapped<E> {}

impl<E: QueryFragment<Db>> QueryFragment<Db> for Wrapped<E> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }
}

diesel::define_sql_function! {
    fn abs(number: Integer) -> Integer;
}

#[tokio::test]
async fn tables_in_expressions_of_the_program_are_found_by_name() {
    let registry = registry().await;
    let visits = diesel::alias!(far_visits as v);
    type Boxed = Box<dyn BoxableExpression<people::table, Db, SqlType = Nullable<Integer>>>;
    let boxed =
        || -> Boxed { Box::new(far::visits::table.select(max(far::visits::id)).single_value()) };
    // Twice, as the result of the first check is cached.
    for _ in 0..2 {
        refused! { registry;
            "visits": load::<Visitor>(people::table.select(Visitor::as_select()));
            "visits": load::<Visitor>(people::table.into_boxed::<Db>().select(Visitor::as_select()));
            "visits": load::<Visitor>(people::table
                .filter(sql::<Bool>("1 = 1")).select(Visitor::as_select()));
            "visits": load::<Option<i64>>(people::table
                .select(visits.select(count_star()).single_value()));
            "visits": load::<Option<i32>>(people::table.select(boxed()));
            "visits": load::<Option<i32>>(people::table.select(LastVisit));
            "visits": load::<Option<i32>>(people::table.select(Wrapped(LastVisit)));
            "people": load::<Option<i32>>(people::table.select(Wrapped(max_id!())));
            "people": load::<i32>(people::table.select(abs(one_id!())));
            "people": load::<i32>(people::table.order(abs(one_id!())).select(people::id));
        }
    }
    // On their own database they run, also repeatedly.
    for _ in 0..2 {
        let last: Option<i32> =
            far::people::table.select(LastVisit).first(&registry).await.expect("a row");
        assert_eq!(last, Some(101));
        let count: Vec<i64> = visits.select(count_star()).load(&registry).await.expect("a row");
        assert_eq!(count, [1]);
    }
    // A session by key has no compile-time bind, so tables are not checked.
    let mut session = registry.session_by_key::<Backend>("default").await.expect("a session");
    let last: Option<i32> =
        people::table.select(LastVisit).first(&mut session).await.expect("a row");
    assert_eq!(last, Some(1));
}
