//! Kinds of queries that all of Diesel's backends have, run on SQLite.

use diesel::associations::HasTable;
use diesel::dsl::{
    case_when, count, count_star, exists, insert_into, max, min, not, sql, sum, update,
};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::positional_order_dsl::{OrderColumn, PositionalOrderDsl};
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use futures_util::TryStreamExt;
use registry_core::{BindDsl, Bound, Registry, RunQueryDsl, SaveChangesDsl, bind, bind_tables};

use crate::support::backends::sqlite::{Backend, database};

mod schema {
    diesel::table! { people (id) { id -> Integer, name -> Text, nick -> Nullable<Text>, age -> Integer, } }
    diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
    diesel::joinable!(notes -> people (person_id));
    diesel::allow_tables_to_appear_in_same_query!(people, notes);
}

use schema::{notes, people};

bind_tables!(db = "default", connection = crate::support::backends::sqlite::Backend; schema::people, schema::notes);

type Db = <Backend as AsyncConnectionCore>::Backend;
type Main = <people::table as Bound>::Bind;

#[bind(table)]
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[diesel(table_name = people)]
struct Person {
    id: i32,
    name: String,
    nick: Option<String>,
    age: i32,
}

#[bind(table)]
#[derive(Debug, PartialEq, Queryable, Selectable, Identifiable, Associations)]
#[diesel(table_name = notes, belongs_to(Person))]
struct Note {
    id: i32,
    person_id: i32,
    text: String,
}

#[derive(AsChangeset)]
#[diesel(table_name = people)]
struct Change {
    name: Option<String>,
    age: Option<i32>,
}

#[derive(Debug, PartialEq, QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn lower(text: Text) -> Text;
    #[aggregate]
    #[sql_name = "MAX"]
    fn longest(text: Text) -> Nullable<Text>;
}

diesel::infix_operator!(Modulo, " % ", Integer);

type Condition<T = Bool> = Box<dyn BoxableExpression<people::table, Db, SqlType = T>>;

fn named(all: bool) -> Condition {
    if all { Box::new(people::id.gt(0)) } else { Box::new(people::name.eq("ada")) }
}

fn nicknamed() -> Condition<Nullable<Bool>> {
    Box::new(people::nick.eq("bobby"))
}

fn each_of(ids: &[i32]) -> Condition {
    ids.iter().fold(Box::new(people::id.lt(0)), |all, id| Box::new(all.or(people::id.eq(*id))))
}

type Joined = diesel::dsl::InnerJoinQuerySource<notes::table, people::table>;

fn of_joined() -> Box<dyn BoxableExpression<Joined, Db, SqlType = Bool>> {
    Box::new(people::name.eq("ada").and(notes::id.gt(0)))
}

/// A page with the total number of rows, as in Diesel's guide.
#[derive(Debug, Clone, Copy, QueryId)]
struct Paginated<T> {
    query: T,
    page_len: i64,
}

impl<T: Query> Query for Paginated<T> {
    type SqlType = (T::SqlType, BigInt);
}

impl<T: QueryFragment<Db>> QueryFragment<Db> for Paginated<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("SELECT t.*, COUNT(*) OVER () FROM (");
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(") t LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.page_len)
    }
}

async fn registry() -> Registry {
    let registry = Registry::builder().bind("default", database()).build().expect("good settings");
    let mut session = registry.session_for::<Person>().await.expect("a session");
    for statement in [
        "CREATE TABLE people (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL, nick VARCHAR(50), age INTEGER DEFAULT 18 NOT NULL)",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL, person_id INTEGER NOT NULL, text VARCHAR(50) NOT NULL)",
        "INSERT INTO people VALUES (1, 'ada', NULL, 36), (2, 'bob', 'bobby', 20), (3, 'eve', NULL, 20)",
        "INSERT INTO notes VALUES (1, 1, 'one'), (2, 1, 'two'), (3, 2, 'three')",
    ] {
        session.batch_execute(statement).await.expect("a database as it should be");
    }
    drop(session);
    registry
}

/// Loads each query with diesel-async, on a session and on the registry, and asserts that all return the same. Each
/// query is in a function of its own, as one function for all of them would take the compiler much longer.
macro_rules! loads {
    ($registry:ident; $($row:ty: $query:expr;)*) => {$({
        async fn find(registry: &Registry) {
            let mut session = registry.session_for::<Person>().await.expect("a session");
            let theirs: Vec<$row> =
                diesel_async::RunQueryDsl::load($query, &mut *session).await.expect("rows");
            let on_session: Vec<$row> =
                RunQueryDsl::load($query, &mut session).await.expect("rows");
            assert_eq!(theirs, on_session, "{}", stringify!($query));
            let routed: Vec<$row> = RunQueryDsl::load($query, registry).await.expect("rows");
            assert_eq!(theirs, routed, "{}", stringify!($query));
        }
        find(&$registry).await;
    })*};
}

/// Runs each command with diesel-async, on a session and on the registry, each time in a transaction that is rolled
/// back.
macro_rules! executes {
    ($registry:ident; $($query:expr;)*) => {$({
        async fn run(registry: &Registry) {
            let mut session = registry.session_for::<Person>().await.expect("a session");
            session.batch_execute("BEGIN").await.expect("a transaction");
            let theirs = diesel_async::RunQueryDsl::execute($query, &mut *session).await;
            session.batch_execute("ROLLBACK").await.expect("no transaction");
            session.batch_execute("BEGIN").await.expect("a transaction");
            let on_session = RunQueryDsl::execute($query, &mut session).await;
            session.batch_execute("ROLLBACK").await.expect("no transaction");
            drop(session);
            let mut work = registry.begin();
            let in_work = RunQueryDsl::execute($query, &mut work).await;
            work.rollback().await.expect("no transaction");
            let theirs = theirs.expect("a count");
            assert_eq!(theirs, on_session.expect("a count"), "{}", stringify!($query));
            assert_eq!(theirs, in_work.expect("a count"), "{}", stringify!($query));
            // Compiled, and not run.
            drop(RunQueryDsl::execute($query, registry));
        }
        run(&$registry).await;
    })*};
}

fn ids() -> diesel::dsl::Select<people::table, people::id> {
    people::table.select(people::id)
}

fn more() -> diesel::dsl::Select<notes::table, notes::id> {
    notes::table.select(notes::id)
}

fn eli() -> Person {
    Person { id: 9, name: "eli".to_owned(), nick: None, age: 1 }
}

fn row(id: i32) -> (diesel::dsl::Eq<people::id, i32>, diesel::dsl::Eq<people::name, &'static str>) {
    (people::id.eq(id), people::name.eq("new"))
}

fn literal() -> diesel::expression::SqlLiteral<(Integer, Text)> {
    sql("SELECT id, name FROM people WHERE id = ")
}

fn page() -> Paginated<diesel::dsl::Select<people::table, diesel::dsl::AsSelect<Person, Db>>> {
    Paginated { query: people::table.select(Person::as_select()), page_len: 2 }
}

const BY_ID: &str = "SELECT name FROM people WHERE id = ?";

#[tokio::test]
async fn selects_compile_and_return_the_same_rows() {
    let registry = registry().await;
    loads! { registry;
        Person: people::table;
        Person: people::table.select(Person::as_select());
        i32: people::table.select(people::id);
        (i32, String): people::table.select((people::id, people::name));
        ((i32, String), Option<String>): people::table.select(((people::id, people::name), people::nick));
        (Person, i32): people::table.select((Person::as_select(), people::age + 1));
        i64: people::table.count();
        Person: people::table.find(1);
        Person: people::table.filter(people::id.eq(1)).filter(people::name.eq("ada"));
        Person: people::table.filter(people::id.eq(1)).or_filter(people::id.eq(2));
        i32: people::table.select(people::age).distinct().order(people::age);
        i32: people::table.select(people::id).order(people::id.desc());
        i32: people::table.select(people::id).order_by((people::age.asc(), people::id.desc()));
        i32: people::table.select(people::id).order(people::age).then_order_by(people::id);
        i32: people::table.select(people::id).order(people::id).limit(2).offset(1);
        (i32, i64): people::table.group_by(people::age).select((people::age, count_star())).order(people::age);
        i32: people::table.group_by(people::age).having(count_star().gt(1)).select(people::age);
        (i32, String, i64): people::table.group_by((people::id, people::name)).select((people::id, people::name, count(people::age))).order(people::id);
        Person: people::table.into_boxed::<Db>();
        i32: people::table.into_boxed::<Db>().filter(people::id.gt(1)).order(people::id).limit(1).offset(1).select(people::id);
        i32: people::table.select(people::id).into_boxed::<Db>().or_filter(people::id.eq(2));
        (i32, i64): people::table.group_by(people::age).select((people::age, count_star())).into_boxed::<Db>().order(people::age);
        i32: people::table.filter(sql::<Bool>("id = 1")).select(people::id);
        i32: people::table.filter(sql::<Bool>("id = ").bind::<Integer, _>(1).sql(" AND 1 = 1")).select(people::id);
        i32: people::table.select(sql::<Integer>("id + 1")).order(people::id);
        (Person, Note): people::table.inner_join(notes::table).order(notes::id);
        i32: notes::table.inner_join(people::table).filter(of_joined()).select(notes::id).order(notes::id);
        (Note, Person): notes::table.inner_join(people::table).order(notes::id);
        (Person, Option<Note>): people::table.left_join(notes::table).order((people::id, notes::id));
        (String, Option<String>): people::table.left_outer_join(notes::table).select((people::name, notes::text.nullable())).order((people::id, notes::id));
        i32: people::table.inner_join(notes::table.on(notes::person_id.eq(people::id).and(notes::id.gt(1)))).select(notes::id).order(notes::id);
        i32: notes::table.inner_join(people::table).filter(people::name.eq("ada")).select(notes::id).into_boxed::<Db>();
        (i32, i64): people::table.inner_join(notes::table).group_by(people::id).select((people::id, count(notes::id))).order(people::id);
        i32: { let other = diesel::alias!(people as other); people::table.inner_join(other.on(other.field(people::age).eq(people::age))).select(other.field(people::id)).order(other.field(people::id)) };
        i32: { let other = diesel::alias!(people as other); other.filter(other.field(people::id).eq(1)).select(other.field(people::age)) };
        Person: Person::table().filter(people::id.eq(1));
        Note: Note::belonging_to(&Person { id: 1, name: String::new(), nick: None, age: 0 }).order(notes::id);
        Note: Note::belonging_to(&vec![Person { id: 1, name: String::new(), nick: None, age: 0 }]).select(Note::as_select()).order(notes::id);
        i32: people::table.limit(1).select(people::id).order(people::id);
    }
    let first: Person = people::table.order(people::id).first(&registry).await.expect("a row");
    assert_eq!(first.name, "ada");
    let notes: Vec<Note> = Note::belonging_to(&first).load(&registry).await.expect("rows");
    assert_eq!(notes.grouped_by(&[first]).len(), 1);
}

#[tokio::test]
async fn expressions_compile_and_return_the_same_rows() {
    let registry = registry().await;
    macro_rules! filters {
        ($($condition:expr;)*) => {
            loads! { registry; $(i32: people::table.filter($condition).select(people::id).order(people::id);)* }
        };
    }
    filters! {
        people::id.ne(1);
        people::id.lt(2).or(people::id.ge(3));
        people::id.le(2).and(not(people::id.eq(1)));
        people::id.between(1, 2);
        people::id.not_between(1, 2);
        people::id.eq_any([1, 2]);
        people::id.eq_any(vec![1, 2]);
        people::id.eq_any(Vec::<i32>::new());
        people::id.ne_all([1]);
        people::nick.is_null();
        people::nick.is_not_null();
        people::nick.eq("bobby");
        people::nick.eq(None::<String>);
        people::nick.assume_not_null().eq("bobby");
        people::name.like("%b%");
        people::name.not_like("%b%");
        people::name.like("%!%%").escape('!');
        people::name.concat("x").eq("adax");
        (people::age + 1).eq(21);
        (people::age - people::id * 2).gt(1);
        (people::age / 2).eq(10);
        people::id.into_sql::<Integer>().eq(1);
        people::nick.nullable().eq("bobby");
        lower(people::name).eq("ada");
        Modulo::new(people::id, 2.into_sql::<Integer>()).eq(1);
        case_when(people::id.gt(1), people::age).otherwise(0).eq(20);
        exists(notes::table.filter(notes::person_id.eq(people::id)));
        not(exists(notes::table.filter(notes::person_id.eq(people::id))));
        people::id.eq_any(notes::table.select(notes::person_id));
        people::id.ne_all(notes::table.select(notes::person_id));
        people::id.eq_any(notes::table.select(notes::person_id).into_boxed::<Db>());
        people::id.nullable().eq(notes::table.select(max(notes::person_id)).single_value());
        people::id.nullable().gt(notes::table.select(notes::id).order(notes::id).limit(1).single_value());
        people::id.eq_any(notes::table.select(notes::person_id).union(notes::table.select(notes::id)));
        named(true);
        named(false);
        nicknamed();
        named(true).and(people::id.gt(1));
        people::id.gt(1).or(named(false));
        not(named(false));
        each_of(&[1, 3]);
        Box::new(people::id.eq(1)) as Condition;
    }
    loads! { registry;
        Option<i32>: people::table.select(max(people::age));
        Option<i32>: people::table.select(min(people::age));
        Option<i64>: people::table.select(sum(people::age));
        i64: people::table.select(count(people::age).aggregate_distinct());
        i64: people::table.select(count(people::nick));
        Option<String>: people::table.select(longest(people::name));
        (i64, Option<i32>): people::table.select((count_star(), max(people::id)));
        (i32, i64): people::table.select((people::id, count(people::id).over())).order(people::id);
        (i32, i64): people::table.select((people::id, diesel::dsl::rank().over().window_order(people::age))).order(people::id) ;
    }
}

#[tokio::test]
async fn unions_and_subqueries_compile_and_return_the_same_rows() {
    let registry = registry().await;
    loads! { registry;
        i32: ids().union(more()).positional_order_by(1);
        i32: ids().union_all(more()).positional_order_by(1);
        i32: ids().union(more()).union(notes::table.select(notes::person_id)).positional_order_by(1);
        i32: ids().union(more().union(notes::table.select(notes::person_id))).positional_order_by(1);
        i32: ids().union(more()).positional_order_by(OrderColumn::from(1).desc()).limit(2).offset(1);
        (i32, String): people::table.select((people::id, people::name)).union(notes::table.select((notes::id, notes::text))).positional_order_by((1, OrderColumn::from(2).desc()));
        i32: ids().filter(named(true)).union(more()).positional_order_by(1);
        i32: ids().filter(named(true)).union(ids().filter(named(false))).positional_order_by(1);
        i32: ids().into_boxed::<Db>().union(more()).positional_order_by(1);
        i32: ids().union(more().into_boxed::<Db>()).positional_order_by(1);
        i32: ids().into_boxed::<Db>().union(more().into_boxed::<Db>()).positional_order_by(1);
        i32: ids().into_boxed::<Db>().filter(named(true)).union_all(more().into_boxed::<Db>()).union(more()).positional_order_by(1);
        i32: ids().filter(people::id.eq_any(more())).union(more().limit(1)).positional_order_by(1);
        i32: people::table.inner_join(notes::table).select(people::id).union(more()).positional_order_by(1);
        i32: ids().union(diesel::select(7.into_sql::<Integer>())).positional_order_by(1);
        (i32, Option<i32>): people::table.select((people::id, notes::table.select(max(notes::id)).single_value())).order(people::id);
        (i32, bool): people::table.select((people::id, exists(notes::table.filter(notes::person_id.eq(people::id))))).order(people::id);
        i32: ids().order((notes::table.filter(notes::person_id.eq(people::id)).select(max(notes::id)).single_value(), people::id));
        i32: people::table.group_by(people::age).having(exists(more())).select(people::age).order(people::age);
        bool: diesel::select(exists(people::table.filter(people::id.eq(1))));
        bool: diesel::select(not(exists(people::table.filter(people::id.eq(1)))));
        bool: diesel::select(exists(ids()).and(exists(more())));
        bool: diesel::select(exists(ids()).or(exists(more())));
        bool: diesel::select(exists(ids().into_boxed::<Db>()));
        bool: diesel::select(exists(ids().filter(people::id.eq_any(more()))));
        bool: diesel::select(exists(people::table.inner_join(notes::table).select(people::id)));
        bool: diesel::select(exists(ids().union(more())));
        (bool, bool): diesel::select((exists(ids()), exists(more())));
        Option<i32>: diesel::select(people::table.select(max(people::id)).single_value());
        i32: diesel::select(ids().order(people::id).limit(1).single_value().assume_not_null());
        i64: diesel::select(people::table.count().single_value().assume_not_null());
    }
}

#[tokio::test]
async fn queries_with_an_unknown_bind_run_where_they_are_told() {
    let registry = registry().await;
    // Diesel's own types run on a session as they are.
    let mut session = registry.session_for::<Person>().await.expect("a session");
    let found: Vec<Name> =
        sql_query(BY_ID).bind::<Integer, _>(1).load(&mut session).await.expect("rows");
    assert_eq!(found, [Name { name: "ada".to_owned() }]);
    let boxed = sql_query(BY_ID).into_boxed::<Db>().bind::<Integer, _>(1);
    assert_eq!(boxed.load::<Name>(&mut session).await.expect("rows"), found);
    let found: (i32, String) =
        literal().bind::<Integer, _>(1).get_result(&mut session).await.expect("a row");
    assert_eq!(found.1, "ada");
    let _: i32 = sql::<Integer>("SELECT 1").get_result(&mut session).await.expect("a row");
    let _: i32 =
        diesel::select(1.into_sql::<Integer>()).get_result(&mut session).await.expect("a row");
    let boxed = diesel::select(1.into_sql::<Integer>()).into_boxed::<Db>();
    let _: i32 = boxed.get_result(&mut session).await.expect("a row");
    drop(session);
    // With `bound_to`, queries of any type run on the registry too.
    loads! { registry;
        Name: sql_query(BY_ID).bind::<Integer, _>(1).bound_to::<Person>();
        Name: sql_query(BY_ID).into_boxed::<Db>().bind::<Integer, _>(1).bound_to::<Person>();
        (i32, String): literal().bind::<Integer, _>(1).bound_to::<Person>();
        (i32, String): literal().bind::<Integer, _>(1).sql(" AND 1 = 1").bound_to::<Person>();
        i32: diesel::select(1.into_sql::<Integer>()).bound_to::<Person>();
        i32: diesel::select(sql::<Integer>("1")).bound_to::<Main>();
        (Person, i64): page().bound_to::<Person>();
        Person: people::table.bound_to::<Person>();
        Person: people::table.find(1).bound_to::<Person>();
        Person: people::table.filter(named(false)).into_boxed::<Db>().bound_to::<Person>();
        i32: people::table.select(people::id).union(notes::table.select(notes::id).into_boxed::<Db>()).positional_order_by(1).bound_to::<Person>();
        bool: diesel::select(exists(people::table.select(people::id))).into_boxed::<Db>().bound_to::<Person>();
        bool: diesel::select(exists(people::table.filter(named(false)))).bound_to::<Person>();
    }
    let (first, all): (Person, i64) =
        page().bound_to::<Person>().get_result(&registry).await.expect("a row");
    assert_eq!((first.id, all), (1, 3));
    let rows: Vec<(Person, i64)> = page()
        .bound_to::<Person>()
        .load_stream(&registry)
        .await
        .expect("rows")
        .try_collect()
        .await
        .expect("rows");
    assert_eq!(rows.len(), 2);
    let first: Person = people::table.bound_to::<Person>().first(&registry).await.expect("a row");
    assert_eq!(first.id, 1);
    let mut work = registry.begin();
    let paged: Vec<(Person, i64)> =
        page().bound_to::<Person>().load(&mut work).await.expect("rows");
    assert_eq!(paged.len(), 2);
    work.rollback().await.expect("nothing to undo");
}

#[tokio::test]
async fn commands_compile_and_run() {
    let registry = registry().await;
    executes! { registry;
        insert_into(people::table).values(&eli());
        insert_into(people::table).values(eli());
        insert_into(people::table).values(row(9));
        insert_into(people::table).values((row(9), people::nick.eq(Some("n")), people::age.eq(3)));
        insert_into(people::table).values((row(9), people::nick.eq(None::<String>)));
        row(9).insert_into(people::table);
        insert_into(notes::table).values(people::table.select((people::id + 10, people::id, people::name)));
        insert_into(notes::table).values(people::table.filter(named(true)).select((people::id + 10, people::id, people::name)));
        insert_into(notes::table).values(people::table.select((people::id + 10, people::id, people::name)).into_boxed::<Db>());
        insert_into(people::table).values(notes::table.select((notes::id + 10, notes::text))).into_columns((people::id, people::name));
        people::table.select((people::name, people::id + 10)).insert_into(people::table).into_columns((people::name, people::id));
        update(people::table).set(people::age.eq(1));
        update(people::table).set(people::age.eq(people::age + 1));
        update(people::table).set((people::age.eq(1), people::nick.eq(None::<String>)));
        update(people::table.find(1)).set(people::nick.eq(Some("n")));
        update(people::table.filter(people::id.eq(1))).set(&Change { name: Some("n".to_owned()), age: None });
        update(people::table).filter(people::id.eq(1)).set(people::age.eq(1));
        update(people::table.filter(named(false))).set(people::age.eq(1));
        update(people::table).filter(nicknamed()).set(people::age.eq(1));
        update(people::table).set(people::age.eq(1)).filter(named(true));
        update(people::table).set(people::age.eq(1)).into_boxed().filter(people::id.eq(1));
        update(people::table.filter(people::id.eq_any(notes::table.select(notes::person_id)))).set(people::age.eq(1));
        update(people::table).set(people::age.eq(notes::table.select(max(notes::id)).single_value().assume_not_null()));
        update(&eli()).set(people::age.eq(1));
        update(&eli()).set(&eli());
        diesel::delete(people::table);
        diesel::delete(people::table.find(1));
        diesel::delete(people::table.filter(people::id.gt(1)));
        diesel::delete(people::table).filter(people::id.gt(1)).or_filter(people::id.eq(1));
        diesel::delete(people::table.filter(named(false)));
        diesel::delete(people::table).filter(each_of(&[1, 2]));
        diesel::delete(people::table).into_boxed().filter(people::id.eq(1));
        diesel::delete(people::table.filter(exists(notes::table.filter(notes::person_id.eq(people::id)))));
        diesel::delete(&eli());
        sql_query("UPDATE people SET age = 1").bound_to::<Person>();
    }
    let rows =
        vec![(people::id.eq(9), people::name.eq("i")), (people::id.eq(10), people::name.eq("j"))];
    let inserted = insert_into(people::table).values(&rows).execute(&registry).await;
    assert_eq!(inserted.expect("rows"), 2);
    let ignored =
        diesel::insert_or_ignore_into(people::table).values(&rows).execute(&registry).await;
    assert_eq!(ignored.expect("no rows"), 0);
    let replaced = diesel::replace_into(people::table).values(&rows).execute(&registry).await;
    assert_eq!(replaced.expect("rows"), 2);
    let changed = Person { age: 2, ..eli() };
    let saved: Person = changed.save_changes(&registry).await.expect("a row");
    assert_eq!(saved, changed);
}

#[tokio::test]
async fn upserts_of_many_rows_run() {
    let registry = registry().await;
    let rows: Vec<_> = (3..6).map(|id| (people::id.eq(id), people::name.eq("new"))).collect();
    let upsert = || insert_into(people::table).values(&rows).on_conflict(people::id);
    let names = async || {
        let names = people::table.select(people::name).order(people::id).offset(2).limit(9);
        names.load::<String>(&registry).await.expect("rows")
    };
    let first = &rows[..1];
    let ignored = insert_into(people::table).values(first).on_conflict_do_nothing();
    assert_eq!(ignored.execute(&registry).await.expect("no rows"), 0);
    assert_eq!(upsert().do_nothing().execute(&registry).await.expect("two rows"), 2);
    assert_eq!(names().await, ["eve", "new", "new"]);
    let changed = upsert().do_update().set(people::name.eq("changed"));
    let mut session = registry.session_for::<Person>().await.expect("a session");
    assert_eq!(changed.execute(&mut session).await.expect("three rows"), 3);
    drop(session);
    assert_eq!(names().await, ["changed"; 3]);
    let excluded =
        upsert().do_update().set(people::name.eq(diesel::upsert::excluded(people::name)));
    assert_eq!(excluded.bound_to::<Person>().execute(&registry).await.expect("three rows"), 3);
    assert_eq!(names().await, ["new"; 3]);
    let one = insert_into(people::table).values(rows[0]).on_conflict(people::id);
    assert_eq!(one.do_nothing().execute(&registry).await.expect("no row"), 0);
    let none: Vec<(diesel::dsl::Eq<people::id, i32>,)> = Vec::new();
    let none = insert_into(people::table).values(&none).on_conflict(people::id).do_nothing();
    assert_eq!(none.execute(&registry).await.expect("nothing to do"), 0);
}
