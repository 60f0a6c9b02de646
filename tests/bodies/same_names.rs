//! Tables that have the same names in two databases, on each backend.
//!
//! A query that has one of each would find what it asks for, in the wrong database: so no database says that
//! anything is wrong.

use std::error::Error as StdError;

use diesel::dsl::{Select, SingleValue, count_star, exists, max, sql};
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use registry_core::query::HiddenTable;
use registry_core::{BindDsl, Bound, Registry, RunQueryDsl, bind_tables};

use super::{Backend, database};

mod near {
    diesel::table! { people (id) { id -> Integer, name -> Text, } }
    diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
    diesel::allow_tables_to_appear_in_same_query!(people, notes);
}

mod far {
    diesel::table! { people (id) { id -> Integer, name -> Text, } }
    diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
    diesel::table! { visits (id) { id -> Integer, person_id -> Integer, } }
    diesel::allow_tables_to_appear_in_same_query!(people, notes, visits);
}

use far::{notes as far_notes, people as far_people, visits as far_visits};
use near::{notes, people};

diesel::allow_tables_to_appear_in_same_query!(people, far_people);
diesel::allow_tables_to_appear_in_same_query!(people, far_notes);
diesel::allow_tables_to_appear_in_same_query!(people, far_visits);
diesel::allow_tables_to_appear_in_same_query!(notes, far_people);
diesel::allow_tables_to_appear_in_same_query!(notes, far_notes);
diesel::allow_tables_to_appear_in_same_query!(notes, far_visits);

bind_tables!(db = "default", connection = super::Backend; near::people, near::notes);
bind_tables!(db = "far", connection = super::Backend; far::people, far::notes, far::visits);

type Main = <people::table as Bound>::Bind;
type Db = <Backend as AsyncConnectionCore>::Backend;

/// All tables are in both databases, with other rows.
async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("far", database())
        .build()
        .expect("good settings");
    for (key, first) in [("default", 1), ("far", 101)] {
        let mut session = registry.session_by_key::<Backend>(key).await.expect("a session");
        for statement in [
            "CREATE TABLE people (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)".to_owned(),
            "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL, person_id INTEGER NOT NULL, text VARCHAR(50) NOT NULL)".to_owned(),
            "CREATE TABLE visits (id INTEGER PRIMARY KEY NOT NULL, person_id INTEGER NOT NULL)".to_owned(),
            format!("INSERT INTO people VALUES ({first}, '{key} ada'), ({}, '{key} bob')", first + 1),
            format!("INSERT INTO notes VALUES ({first}, {first}, '{key} note')"),
            format!("INSERT INTO visits VALUES ({first}, {first})"),
        ] {
            session.batch_execute(&statement).await.expect("a database as it should be");
        }
    }
    registry
}

/// What stands in both databases: nothing that was refused has changed it.
async fn are_untouched(registry: &Registry) {
    let near: Vec<(i32, String)> =
        people::table.order(people::id).load(registry).await.expect("rows");
    assert_eq!(near, [(1, "default ada".to_owned()), (2, "default bob".to_owned())]);
    let far: Vec<(i32, String)> =
        far::people::table.order(far::people::id).load(registry).await.expect("rows");
    assert_eq!(far, [(101, "far ada".to_owned()), (102, "far bob".to_owned())]);
    let notes: Vec<String> = notes::table.select(notes::text).load(registry).await.expect("rows");
    assert_eq!(notes, ["default note"]);
}

/// What was found, in Diesel's error.
fn hidden(error: &(dyn StdError + 'static)) -> HiddenTable {
    let mut cause = error;
    loop {
        if let Some(DieselError::QueryBuilderError(inner)) = cause.downcast_ref() {
            let found = inner.downcast_ref::<HiddenTable>();
            return found.unwrap_or_else(|| panic!("not refused, but {error:?}")).clone();
        }
        cause = cause.source().unwrap_or_else(|| panic!("not refused, but {error:?}"));
    }
}

/// Each query is refused for the table of `far` that is named before it.
macro_rules! refused {
    ($registry:expr; $($name:literal: $method:ident$(::<$row:ty>)?($query:expr);)*) => {$({
        let error = $query
            .bound_to::<Main>()
            .$method$(::<$row>)?(&$registry)
            .await
            .expect_err(stringify!($query));
        let found = hidden(&error);
        assert_eq!(
            (&*found.key, &*found.name, found.other.as_str()),
            ("default", $name, "far"),
            stringify!($query)
        );
    })*};
}

macro_rules! max_id {
    () => {
        far::people::table.select(max(far::people::id)).single_value()
    };
}

macro_rules! one_id {
    () => {
        far::people::table.select(far::people::id).limit(1).single_value().assume_not_null()
    };
}

macro_rules! one_name {
    () => {
        far::people::table.select(far::people::name).limit(1).single_value().assume_not_null()
    };
}

/// The first name in the table of its own database, in a box.
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

macro_rules! any_note {
    () => {
        exists(far::notes::table.filter(far::notes::id.gt(0)))
    };
}

#[tokio::test]
async fn a_table_is_its_type_wherever_it_stands_in_a_query() {
    let registry = registry().await;
    refused! { registry;
        // What is inserted.
        "people": execute(diesel::insert_into(people::table)
            .values(far::people::table.select((far::people::id + 1000, far::people::name))));
        "people": execute(diesel::insert_into(people::table)
            .values(far::people::table.select((far::people::name, far::people::id)))
            .into_columns((people::name, people::id)));
        "people": execute(diesel::insert_into(people::table)
            .values(far::people::table.select((far::people::id, far::people::name)).into_boxed::<Db>()));
        "people": execute(diesel::insert_into(people::table)
            .values((people::id.eq(900), people::name.eq(one_name!()))));
        // What is set.
        "people": execute(diesel::update(people::table.find(1)).set(people::name.eq(one_name!())));
        "people": execute(diesel::update(people::table)
            .set((people::id.eq(1), people::name.eq(one_name!()))));
        "people": execute(diesel::update(people::table.find(1))
            .set(people::name.eq(one_name!())).into_boxed());
        "notes": execute(diesel::update(people::table.find(1))
            .set(people::name.eq(diesel::dsl::case_when(any_note!(), people::name).otherwise(people::name))));
        // What is selected.
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
        // What rows are ordered and grouped by.
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
        // What is joined on.
        "people": load::<i32>(people::table
            .inner_join(notes::table.on(notes::id.eq(one_id!()))).select(people::id));
        "notes": load::<i32>(people::table
            .left_join(notes::table.on(notes::person_id.eq(people::id).and(any_note!())))
            .select(people::id));
        // Parts of unions.
        "people": load::<String>(notes::table
            .select(notes::text)
            .union(far::people::table.select(far::people::name).into_boxed::<Db>()));
        "people": load::<String>(notes::table
            .select(notes::text).into_boxed::<Db>()
            .union_all(notes::table.select(notes::text))
            .union(far::people::table.select(far::people::name).into_boxed::<Db>()));
        "people": load::<Option<i32>>(notes::table
            .select(max(notes::id)).union(people::table.select(max_id!())));
        // What rows are chosen by, where the compiler has been told not to look.
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
        // Queries that have no table but these, or none of their own bind.
        "notes": get_result::<bool>(diesel::select(any_note!()));
        "notes": get_result::<bool>(diesel::select(exists(notes::table.filter(any_note!()))));
        "people": get_result::<(i32, Option<i32>)>(diesel::select((1.into_sql::<Integer>(), max_id!())));
        "people": load::<(i32, String)>(far::people::table);
        "people": load::<(i32, String)>(far::people::table.into_boxed::<Db>());
        "people": execute(diesel::delete(far::people::table));
        "people": load::<((i32, String), i64)>(Counted(far::people::table.filter(far::people::id.gt(1))));
        // Within a query that has a table of its own database, at any depth.
        "people": load::<Option<i32>>(people::table.select(
            notes::table.order(max_id!()).select(notes::id).limit(1).single_value()));
        // What is in a box as well as what is in none.
        "people": load::<(i32, Option<i32>)>(people::table
            .select((people::id, max_id!()))
            .filter(people::id.eq_any(notes::table.select(notes::person_id).into_boxed::<Db>())));
    }
    are_untouched(&registry).await;
}

#[tokio::test]
async fn every_executor_refuses_and_goes_on() {
    let registry = registry().await;
    let query = || people::table.select((people::id, max_id!()));
    let insert = || {
        diesel::insert_into(people::table)
            .values(far::people::table.select((far::people::id + 1000, far::people::name)))
    };
    type Row = (i32, Option<i32>);

    macro_rules! on {
        ($executor:expr) => {
            hidden(&query().load::<Row>($executor).await.expect_err("two databases"));
            hidden(&query().get_result::<Row>($executor).await.expect_err("two databases"));
            hidden(&query().get_results::<Row>($executor).await.expect_err("two databases"));
            hidden(&query().first::<Row>($executor).await.expect_err("two databases"));
            hidden(&query().load_stream::<Row>($executor).await.err().expect("two databases"));
            hidden(&insert().execute($executor).await.expect_err("two databases"));
            assert_eq!(people::table.count().get_result::<i64>($executor).await.expect("rows"), 2);
        };
    }
    on!(&registry);
    let tenant = registry.tenant("acme").expect("a good name");
    on!(&tenant);
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
    // A connection takes anything, and its database knows these names.
    let rows: Vec<Row> = query().load(&mut *session).await.expect("rows");
    assert_eq!(rows.len(), 2);
    drop(session);
    let mut work = registry.begin();
    on!(&mut work);
    work.commit().await.expect("nothing was done");
    are_untouched(&registry).await;
}

#[tokio::test]
async fn what_is_in_a_box_goes_by_name() {
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
        // Diesel has no subquery on the table of the query around it, so this one is another.
        "people": load::<(i32, String)>(people::table.filter(nested()));
        "people": load::<(i32, String)>(people::table
            .filter(people::name.eq_any(far::people::table.select(far::people::name)))
            .into_boxed::<Db>());
        "people": execute(diesel::delete(people::table).into_boxed()
            .filter(people::name.eq_any(far::people::table.select(far::people::name))));
        // Nor in what is inserted.
        "people": execute(diesel::insert_into(people::table).values(
            people::table.filter(nested()).select((people::id + 1000, people::name))));
        "people": execute(diesel::insert_into(people::table).values(
            people::table.filter(nested()).select((people::id + 1000, people::name)).into_boxed::<Db>()));
        // What is set can have such a query of its own, but this time has none.
        "people": execute(diesel::update(people::table.filter(nested()))
            .set((people::id.eq(1), None::<()>.map(|()| people::name.eq(own_name!())))));
    }
    are_untouched(&registry).await;
}

/// Nothing that is right is refused for what could be elsewhere in its statement.
#[tokio::test]
async fn a_box_on_its_own_table_runs_wherever_it_is_inserted_or_set() {
    let registry = registry().await;
    let some = |name: bool| name.then(|| people::name.eq(own_name!()));
    // MySQL lets no subquery read what its statement changes.
    if super::NAME != "mysql" {
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
    if super::NAME != "mysql" {
        let inserted = diesel::insert_into(people::table)
            .values(rows)
            .execute(&registry)
            .await
            .expect("its own table");
        assert_eq!(inserted, 2);
    }
}

/// What remains, as the documentation says: nothing in such a query tells the two tables apart.
#[tokio::test]
async fn a_box_on_a_name_of_both_is_taken_for_its_own() {
    let registry = registry().await;
    let authors: Vec<i32> = notes::table
        .into_boxed::<Db>()
        .filter(notes::person_id.eq_any(far::people::table.select(far::people::id)))
        .select(notes::person_id)
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(authors, [1], "by the people of its own database");
    // An alias is as good as another name, in a box or without a column of its own.
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

/// A model that selects more than its columns.
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

/// A query with the number of its rows, as in Diesel's guide.
#[derive(Debug, Clone, Copy, QueryId)]
struct Counted<Q>(Q);

impl<Q: Query> Query for Counted<Q> {
    type SqlType = (Q::SqlType, BigInt);
}

impl<Q: QueryFragment<Db>> QueryFragment<Db> for Counted<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("SELECT *, COUNT(*) OVER () FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") t");
        Ok(())
    }
}

/// An expression of the program's own, whose type says nothing of its tables.
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

/// A wrapper of the program's own, whose type says what is in it.
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
async fn what_is_not_of_diesel_is_looked_into() {
    let registry = registry().await;
    let visits = diesel::alias!(far_visits as v);
    type Boxed = Box<dyn BoxableExpression<people::table, Db, SqlType = Nullable<Integer>>>;
    let boxed =
        || -> Boxed { Box::new(far::visits::table.select(max(far::visits::id)).single_value()) };
    // What has been found once is found again.
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
    // On its own database each of them is right, as often as it is run.
    for _ in 0..2 {
        let last: Option<i32> =
            far::people::table.select(LastVisit).first(&registry).await.expect("a row");
        assert_eq!(last, Some(101));
        let count: Vec<i64> = visits.select(count_star()).load(&registry).await.expect("a row");
        assert_eq!(count, [1]);
    }
    // Where the names are not, nothing is known of what a database has.
    let mut session = registry.session_by_key::<Backend>("default").await.expect("a session");
    let last: Option<i32> =
        people::table.select(LastVisit).first(&mut session).await.expect("a row");
    assert_eq!(last, Some(1));
}

#[tokio::test]
async fn a_comment_hides_nothing() {
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
async fn a_table_whose_name_the_bind_has_too_is_told_by_its_path() {
    let registry = registry().await;
    let error = people::table
        .select(max_id!())
        .load::<Option<i32>>(&registry)
        .await
        .expect_err("two databases");
    let path = concat!(module_path!(), "::far::people");
    assert_eq!(hidden(&error).path, Some(path));
    assert_eq!(
        hidden(&error).to_string(),
        format!(
            "a query for bind `default` has the table `people`, which belongs to bind `far` (`{path}` in the program)"
        )
    );
}

/// A model that is bound nowhere, with a name that one of the other database has.
#[derive(Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = people)]
struct Row {
    id: i32,
    name: String,
}

mod archived {
    #[registry_core::bind(db = "far", connection = super::Backend)]
    #[derive(Debug, PartialEq, diesel::Queryable)]
    pub(super) struct Row {
        pub(super) id: i32,
        pub(super) name: String,
    }
}

#[tokio::test]
async fn what_is_right_runs() {
    let registry = registry().await;
    let ids = |rows: Vec<i32>| rows;

    // Subqueries of its own database, where those of another are refused.
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
    // In a box on its own table, under the name of that.
    let rows: Vec<(i32, String)> = people::table
        .filter(people::id.eq_any(people::table.select(people::id).into_boxed::<Db>()))
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(rows.len(), 2);
    let mut session = registry.session_for::<people::table>().await.expect("a session");
    let any = diesel::select(exists(notes::table.filter(notes::text.like("default%"))));
    assert!(any.get_result::<bool>(&mut session).await.expect("a row"));

    // An alias with the name of a table that is in the other database alone.
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

    // Text is the program's own.
    let quote = if super::NAME == "mysql" { "`" } else { "\"" };
    let text = format!("EXISTS (SELECT 1 FROM {quote}visits{quote})");
    let rows: Vec<i32> = people::table
        .filter(sql::<Bool>(&text))
        .select(people::id)
        .order(people::id)
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(ids(rows), [1, 2]);
    // As it is beside a model, whichever text was run first.
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
    // So are values, in a box as well.
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

    // Rows go into any model that has a place for them.
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

    // The other database's own.
    let rows: Vec<(i32, Option<i32>)> = far::people::table
        .select((far::people::id, far::visits::table.select(max(far::visits::id)).single_value()))
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(rows[0], (101, Some(101)));
}
