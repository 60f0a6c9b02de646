//! Queries with a table of another database, which are refused.

use diesel::dsl::{count_star, sql};
use diesel::sql_types::{Bool, Integer};

use super::*;

#[tokio::test]
async fn tables_of_another_bind_are_refused_by_type_in_every_clause() {
    let registry = registry().await;
    refused! { registry;
        // The source of an insert.
        "people": execute(diesel::insert_into(people::table)
            .values(far::people::table.select((far::people::id + 1000, far::people::name))));
        "people": execute(diesel::insert_into(people::table)
            .values(far::people::table.select((far::people::name, far::people::id)))
            .into_columns((people::name, people::id)));
        "people": execute(diesel::insert_into(people::table)
            .values(far::people::table.select((far::people::id, far::people::name)).into_boxed::<Db>()));
        "people": execute(diesel::insert_into(people::table)
            .values((people::id.eq(900), people::name.eq(one_name!()))));
        // Assignments of an update.
        "people": execute(diesel::update(people::table.find(1)).set(people::name.eq(one_name!())));
        "people": execute(diesel::update(people::table)
            .set((people::id.eq(1), people::name.eq(one_name!()))));
        "people": execute(diesel::update(people::table.find(1))
            .set(people::name.eq(one_name!())).into_boxed());
        "notes": execute(diesel::update(people::table.find(1))
            .set(people::name.eq(diesel::dsl::case_when(any_note!(), people::name).otherwise(people::name))));
        // The select clause.
        "people": load::<(i32, Option<i32>)>(people::table.select((people::id, max_id!())));
        "people": load::<i32>(people::table.select(people::id + one_id!()));
        "notes": load::<bool>(people::table.select(any_note!()));
        "notes": load::<bool>(people::table.select(diesel::dsl::not(any_note!())));
        "notes": load::<String>(people::table
            .select(diesel::dsl::case_when(any_note!(), people::name).otherwise("none")));
        "people": load::<String>(people::table
            .select(diesel::dsl::case_when(people::id.gt(1), one_name!()).otherwise(people::name)));
        "people": load::<Option<i32>>(people::table.select(max(people::id + one_id!())));
        "people": load::<i64>(people::table
            .select(count_star()).order(max_id!()).group_by(people::id));
        "people": load::<String>(people::table.select(people::name.concat(one_name!())));
        "people": load::<bool>(people::table.select(people::name.like(one_name!())));
        "people": load::<bool>(people::table.select(people::id.between(one_id!(), 5)));
        "people": load::<i32>(people::table.select(one_id!()).distinct());
        "visits": load::<Option<i32>>(people::table
            .select(far::visits::table.select(max(far::visits::id)).single_value()));
        // The order, group and having clauses.
        "people": load::<i32>(people::table.order(max_id!()).select(people::id));
        "people": load::<i32>(people::table.order(max_id!().desc()).select(people::id));
        "people": load::<i32>(people::table
            .order(people::id).then_order_by((people::name, max_id!().asc())).select(people::id));
        "people": get_result::<i32>(people::table.order(max_id!()).select(people::id).limit(5).offset(1));
        "notes": load::<i32>(notes::table
            .group_by(notes::person_id).having(exists(far::notes::table.select(far::notes::id))).select(notes::person_id));
        "notes": load::<i32>(notes::table
            .group_by(notes::person_id)
            .having(count_star().gt(0).and(any_note!()))
            .select(notes::person_id));
        // Join conditions.
        "people": load::<i32>(people::table
            .inner_join(notes::table.on(notes::id.eq(one_id!()))).select(people::id));
        "notes": load::<i32>(people::table
            .left_join(notes::table.on(notes::person_id.eq(people::id).and(any_note!())))
            .select(people::id));
        // Parts of a union.
        "people": load::<String>(notes::table
            .select(notes::text)
            .union(far::people::table.select(far::people::name).into_boxed::<Db>()));
        "people": load::<String>(notes::table
            .select(notes::text).into_boxed::<Db>()
            .union_all(notes::table.select(notes::text))
            .union(far::people::table.select(far::people::name).into_boxed::<Db>()));
        "people": load::<Option<i32>>(notes::table
            .select(max(notes::id)).union(people::table.select(max_id!())));
        // The where clause; `bound_to` skips the check of the compiler.
        "people": load::<i32>(people::table
            .filter(people::name.eq_any(far::people::table.select(far::people::name)))
            .select(people::id));
        "notes": load::<i32>(people::table
            .filter(exists(notes::table.filter(exists(far::notes::table.filter(far::notes::id.gt(1))))))
            .select(people::id));
        "notes": load::<i32>(people::table
            .filter(people::id.gt(1).or(diesel::dsl::not(any_note!()))).select(people::id));
        "people": execute(diesel::update(people::table.filter(people::id.eq(one_id!())))
            .set(people::name.eq("x")));
        "people": execute(diesel::delete(people::table.filter(people::id.eq(one_id!()))));
        // Queries whose only tables are those of the other database.
        "notes": get_result::<bool>(diesel::select(any_note!()));
        "notes": get_result::<bool>(diesel::select(exists(notes::table.filter(any_note!()))));
        "people": get_result::<(i32, Option<i32>)>(diesel::select((1.into_sql::<Integer>(), max_id!())));
        "people": load::<(i32, String)>(far::people::table);
        "people": load::<(i32, String)>(far::people::table.into_boxed::<Db>());
        "people": execute(diesel::delete(far::people::table));
        "people": load::<((i32, String), i64)>(Counted(far::people::table.filter(far::people::id.gt(1))));
        // Inside a subquery on a table of the same database, at any depth.
        "people": load::<Option<i32>>(people::table.select(
            notes::table.order(max_id!()).select(notes::id).limit(1).single_value()));
        // Boxed and unboxed parts in one query.
        "people": load::<(i32, Option<i32>)>(people::table
            .select((people::id, max_id!()))
            .filter(people::id.eq_any(notes::table.select(notes::person_id).into_boxed::<Db>())));
    }
    are_untouched(&registry).await;
}

#[tokio::test]
async fn every_executor_refuses_foreign_tables_and_stays_usable() {
    let registry = registry().await;
    let query = || people::table.select((people::id, max_id!()));
    let insert = || {
        diesel::insert_into(people::table)
            .values(far::people::table.select((far::people::id + 1000, far::people::name)))
    };
    type Row = (i32, Option<i32>);

    macro_rules! reads_on {
        ($executor:expr) => {
            hidden(&query().load::<Row>($executor).await.expect_err("two databases"));
            hidden(&query().get_result::<Row>($executor).await.expect_err("two databases"));
            hidden(&query().get_results::<Row>($executor).await.expect_err("two databases"));
            hidden(&query().first::<Row>($executor).await.expect_err("two databases"));
            hidden(&query().load_stream::<Row>($executor).await.err().expect("two databases"));
            assert_eq!(people::table.count().get_result::<i64>($executor).await.expect("rows"), 2);
        };
    }
    macro_rules! on {
        ($executor:expr) => {
            hidden(&insert().execute($executor).await.expect_err("two databases"));
            reads_on!($executor);
        };
    }
    on!(&registry);
    let tenant = registry.tenant("acme").expect("a good name");
    on!(&tenant);
    on!(registry.clone());
    on!(tenant.clone());
    on!(registry.session_for::<people::table>().await.expect("a session"));
    let mut session = registry.session_for::<people::table>().await.expect("a session");
    on!(&mut session);
    session
        .transaction(async |session| {
            hidden(&query().load::<Row>(&mut *session).await.expect_err("two databases"));
            hidden(&insert().execute(&mut *session).await.expect_err("two databases"));
            Ok::<_, DieselError>(())
        })
        .await
        .expect("nothing was done");
    // A bare connection runs any query, and its database has tables of these names.
    let rows: Vec<Row> = query().load(&mut *session).await.expect("rows");
    assert_eq!(rows.len(), 2);
    drop(session);
    let mut work = registry.begin();
    on!(&mut work);
    work.commit().await.expect("nothing was done");

    let reader = registry.reader();
    reads_on!(&reader);
    reads_on!(reader.clone());
    reads_on!(tenant.reader());
    reads_on!(reader.session_for::<people::table>().await.expect("a session"));
    let mut session = reader.session_for::<people::table>().await.expect("a session");
    reads_on!(&mut session);
    session
        .snapshot(async |session| {
            hidden(&query().load::<Row>(&mut *session).await.expect_err("two databases"));
            Ok::<_, DieselError>(())
        })
        .await
        .expect("nothing was done");
    drop(session);
    are_untouched(&registry).await;
}

#[tokio::test]
async fn comments_in_sql_hide_no_table() {
    let registry = registry().await;
    let condition = || sql::<Bool>("1 = 1 /* it's */");
    let last_visit = || far::visits::table.select(max(far::visits::id)).single_value();
    refused! { registry;
        "visits": load::<(i32, String)>(people::table.filter(condition()).order(last_visit()));
        "visits": load::<(i32, String)>(people::table.filter(condition()).order(last_visit())
            .into_boxed::<Db>());
        "visits": load::<(i32, String)>(people::table.into_boxed::<Db>()
            .filter(sql::<Bool>("'--' = '--' -- it's \n")).order(last_visit()));
    }
    let mut session = registry.session_for::<people::table>().await.expect("a session");
    let query = people::table.filter(condition()).order(last_visit());
    let error = query.load::<(i32, String)>(&mut session).await.expect_err("two databases");
    assert_eq!(
        hidden(&error).to_string(),
        "a query for bind `default` has the table `visits`, which belongs to bind `far`"
    );
}

#[tokio::test]
async fn refusal_of_an_ambiguous_name_has_the_path_of_the_table() {
    let registry = registry().await;
    let error = people::table
        .select(max_id!())
        .load::<Option<i32>>(&registry)
        .await
        .expect_err("two databases");
    assert_eq!(hidden(&error).path, Some(FAR_PEOPLE));
    assert_eq!(
        hidden(&error).to_string(),
        format!(
            "a query for bind `default` has the table `people`, which belongs to bind `far` (`{FAR_PEOPLE}` in the program)"
        )
    );
}
