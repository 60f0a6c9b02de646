//! Queries on their own database, which run although both databases have tables of those names.

use diesel::dsl::sql;
use diesel::sql_types::{Bool, Text};

use super::*;

/// A model without a bind, named like a model of the other database.
#[derive(Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = people)]
struct Row {
    id: i32,
    name: String,
}

mod archived {
    #[registry_core::bind(db = "far", connection = super::super::Backend)]
    #[derive(Debug, PartialEq, diesel::Queryable)]
    pub(super) struct Row {
        pub(super) id: i32,
        pub(super) name: String,
    }
}

#[tokio::test]
async fn queries_within_one_bind_run_beside_tables_of_the_same_name() {
    let registry = registry().await;
    let ids = |rows: Vec<i32>| rows;

    // Subqueries of the same database, in places where those of another one are refused.
    let rows: Vec<(i32, Option<i32>)> = people::table
        .select((people::id, notes::table.select(max(notes::id)).single_value()))
        .order(notes::table.select(max(notes::person_id)).single_value())
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(rows.len(), 2);
    let rows: Vec<(i32, String)> = people::table
        .filter(people::id.eq_any(notes::table.select(notes::person_id)))
        .into_boxed::<Db>()
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(rows, [(1, "default ada".to_owned())]);
    // A boxed subquery on the same table.
    let rows: Vec<(i32, String)> = people::table
        .filter(people::id.eq_any(people::table.select(people::id).into_boxed::<Db>()))
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(rows.len(), 2);
    let mut session = registry.session_for::<people::table>().await.expect("a session");
    let any = diesel::select(exists(notes::table.filter(notes::text.like("default%"))));
    assert!(any.get_result::<bool>(&mut session).await.expect("a row"));

    // An alias that is named like a table of the other database.
    let visits = diesel::alias!(people as visits);
    let rows: Vec<i32> = visits
        .filter(visits.field(people::id).gt(1))
        .select(visits.field(people::id))
        .load(&mut session)
        .await
        .expect("rows");
    assert_eq!(ids(rows), [2]);
    let rows: Vec<i32> = people::table
        .inner_join(visits.on(visits.field(people::id).eq(people::id)))
        .select(people::id)
        .into_boxed::<Db>()
        .order(people::id)
        .load(&mut session)
        .await
        .expect("rows");
    assert_eq!(ids(rows), [1, 2]);

    // SQL text of the program is not checked.
    let quote = if NAME == "mysql" { "`" } else { "\"" };
    let text = format!("EXISTS (SELECT 1 FROM {quote}visits{quote})");
    let rows: Vec<i32> = people::table
        .filter(sql::<Bool>(&text))
        .select(people::id)
        .order(people::id)
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(ids(rows), [1, 2]);
    // Nor is it beside a model, whichever text was run first.
    for text in [&*text, "1 = 1", &*text] {
        let rows: Vec<Row> = people::table
            .filter(sql::<Bool>(text))
            .select(Row::as_select())
            .load(&registry)
            .await
            .expect("rows");
        assert_eq!(rows.len(), 2);
    }
    let rows: Vec<(Row, bool)> = people::table
        .select((Row::as_select(), sql::<Bool>(&text)))
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(rows.len(), 2);
    let literal = sql::<Text>("'FROM \"visits\" JOIN `visits`, it''s'");
    let row: String =
        people::table.select(literal).into_boxed::<Db>().first(&registry).await.expect("a row");
    assert_eq!(row, "FROM \"visits\" JOIN `visits`, it's");
    // Values are not checked either, also in a boxed query.
    let row: i64 = people::table
        .filter(people::name.ne("-- FROM \"visits\" /* `visits`"))
        .into_boxed::<Db>()
        .count()
        .get_result(&registry)
        .await
        .expect("a row");
    assert_eq!(row, 2);

    let pages: Vec<((i32, String), i64)> = Counted(people::table.select(people::all_columns))
        .bound_to::<Main>()
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(pages[0], ((1, "default ada".to_owned()), 2));

    // Rows can be loaded into any model that fits them.
    let rows: Vec<archived::Row> = people::table.find(1).load(&registry).await.expect("rows");
    assert_eq!(rows, [archived::Row { id: 1, name: "default ada".to_owned() }]);
    let rows: Vec<Row> =
        people::table.find(1).select(Row::as_select()).load(&registry).await.expect("rows");
    assert_eq!(rows, [Row { id: 1, name: "default ada".to_owned() }]);
    let rows: Vec<Row> = people::table
        .into_boxed::<Db>()
        .filter(people::id.eq(1))
        .select(Row::as_select())
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(rows.len(), 1);

    // Queries of the other database.
    let rows: Vec<(i32, Option<i32>)> = far::people::table
        .select((far::people::id, far::visits::table.select(max(far::visits::id)).single_value()))
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(rows[0], (101, Some(101)));
}
