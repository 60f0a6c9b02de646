//! Boxed queries and expressions, whose types do not say which tables are in them.

use diesel::dsl::sql;
use diesel::sql_types::{Bool, Integer};

use super::*;

/// A boxed subquery for the first name in the table of the same database.
macro_rules! own_name {
    () => {
        people::table
            .select(people::name)
            .order(people::id)
            .limit(1)
            .into_boxed::<Db>()
            .single_value()
            .assume_not_null()
    };
}

#[tokio::test]
async fn boxed_tables_are_checked_by_name() {
    let registry = registry().await;
    type Condition = Box<dyn BoxableExpression<people::table, Db, SqlType = Bool>>;
    let condition = || -> Condition {
        Box::new(exists(far::visits::table.filter(far::visits::person_id.eq(people::id))))
    };
    let nested = || -> Condition {
        Box::new(people::name.eq_any(far::people::table.select(far::people::name)))
    };
    macro_rules! visitors {
        () => {
            far::visits::table.select(far::visits::person_id)
        };
    }
    refused! { registry;
        "visits": load::<i32>(people::table
            .filter(people::id.eq_any(visitors!())).select(people::id).into_boxed::<Db>());
        "visits": load::<(i32, String)>(people::table.into_boxed::<Db>()
            .filter(people::id.gt(0)).filter(people::id.ne_all(visitors!())));
        "visits": load::<Option<i32>>(people::table
            .select(far::visits::table.select(max(far::visits::id)).single_value())
            .into_boxed::<Db>());
        "visits": load::<(i32, String)>(people::table.into_boxed::<Db>()
            .order(far::visits::table.select(max(far::visits::id)).single_value()));
        "visits": execute(diesel::update(people::table).set(people::name.eq("x"))
            .into_boxed().filter(people::id.eq_any(visitors!())));
        "visits": execute(diesel::delete(people::table).into_boxed()
            .filter(people::id.eq_any(visitors!())));
        "visits": load::<i32>(notes::table.select(notes::id).union(
            people::table.filter(people::id.eq_any(visitors!())).select(people::id).into_boxed::<Db>()));
        "visits": load::<((i32, String), i64)>(Counted(
            people::table.into_boxed::<Db>().filter(people::id.eq_any(visitors!()))));
        "visits": load::<(i32, String)>(people::table.filter(condition()));
        "visits": execute(diesel::delete(people::table.filter(condition())));
        // Diesel allows no subquery on the table of the outer query, so this one must be of another table.
        "people": load::<(i32, String)>(people::table.filter(nested()));
        "people": load::<(i32, String)>(people::table
            .filter(people::name.eq_any(far::people::table.select(far::people::name)))
            .into_boxed::<Db>());
        "people": execute(diesel::delete(people::table).into_boxed()
            .filter(people::name.eq_any(far::people::table.select(far::people::name))));
        // The same in the source of an insert.
        "people": execute(diesel::insert_into(people::table).values(
            people::table.filter(nested()).select((people::id + 1000, people::name))));
        "people": execute(diesel::insert_into(people::table).values(
            people::table.filter(nested()).select((people::id + 1000, people::name)).into_boxed::<Db>()));
        // The assignments of an update could contain such a subquery, but here contain none.
        "people": execute(diesel::update(people::table.filter(nested()))
            .set((people::id.eq(1), None::<()>.map(|()| people::name.eq(own_name!())))));
    }
    are_untouched(&registry).await;
}

/// A correct statement is not refused for what other parts of a statement of its type could contain.
#[tokio::test]
async fn boxed_subqueries_on_their_own_table_run_in_inserts_and_updates() {
    let registry = registry().await;
    let some = |name: bool| name.then(|| people::name.eq(own_name!()));
    // In MySQL, a subquery cannot read the table that its statement changes.
    if NAME != "mysql" {
        for is_set in [true, false] {
            diesel::update(people::table.filter(people::id.eq(2)))
                .set((people::id.eq(2), some(is_set)))
                .execute(&registry)
                .await
                .expect("its own table");
        }
        let names: Vec<String> = people::table
            .select(people::name)
            .order(people::id)
            .load(&registry)
            .await
            .expect("rows");
        assert_eq!(names, ["default ada", "default ada"]);
    }
    let ids = || people::table.select(people::id).into_boxed::<Db>();
    let inserted = diesel::insert_into(people::table)
        .values(
            people::table.filter(people::id.eq_any(ids())).select((people::id + 10, people::name)),
        )
        .execute(&registry)
        .await
        .expect("its own table");
    assert_eq!(inserted, 2);
    let nested = || {
        people::table
            .filter(people::id.eq_any(ids()))
            .select(people::name)
            .limit(1)
            .single_value()
            .assume_not_null()
    };
    let rows = vec![
        (people::id.eq(20), people::name.eq(nested())),
        (people::id.eq(21), people::name.eq(nested())),
    ];
    if NAME != "mysql" {
        let inserted = diesel::insert_into(people::table)
            .values(rows)
            .execute(&registry)
            .await
            .expect("its own table");
        assert_eq!(inserted, 2);
    }
}

/// The documented limit: nothing in such a query distinguishes the two tables.
#[tokio::test]
async fn boxed_table_with_a_name_of_both_binds_is_taken_for_the_own_one() {
    let registry = registry().await;
    let authors: Vec<i32> = notes::table
        .into_boxed::<Db>()
        .filter(notes::person_id.eq_any(far::people::table.select(far::people::id)))
        .select(notes::person_id)
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(authors, [1], "by the people of its own database");
    // An alias hides the name of the table too, if it is boxed or no column of it is used.
    let others = diesel::alias!(far_people as p);
    let condition: Box<dyn BoxableExpression<people::table, Db, SqlType = Bool>> =
        Box::new(exists(others.filter(others.field(far_people::id).eq(1))));
    let ids: Vec<i32> = people::table
        .filter(condition)
        .select(people::id)
        .order(people::id)
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(ids, [1, 2], "by the people of its own database");
    let any: Vec<bool> = people::table
        .select(exists(others.select(sql::<Integer>("1"))))
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(any, [true, true], "by the people of its own database");
}
