#![allow(dead_code, unused)]
use diesel::prelude::*;
use diesel::sql_types::*;
use diesel::dsl::{exists, not, max};
use diesel::query_builder::*;
use registry_core::{BindDsl, Error, Registry, RunQueryDsl, Session, UnitOfWork, bind, bind_tables, binds};
use diesel::query_dsl::positional_order_dsl::PositionalOrderDsl;

binds! { Main: Sqlite = "default"; Far: Sqlite = "far"; }
diesel::table! { people (id) { id -> Integer, name -> Text, nick -> Nullable<Text>, } }
diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
diesel::joinable!(notes -> people (person_id));
diesel::allow_tables_to_appear_in_same_query!(people, notes);
bind_tables!(Main; people, notes);
type Db = diesel::sqlite::Sqlite;

#[bind(table)]
#[derive(Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[diesel(table_name = people)]
struct Person { id: i32, name: String, nick: Option<String> }

#[derive(QueryableByName)]
struct Name { #[diesel(sql_type = Text)] name: String }

fn condition(all: bool) -> Box<dyn BoxableExpression<people::table, Db, SqlType = Bool>> {
    if all { Box::new(people::id.gt(0)) } else { Box::new(people::name.eq("ada")) }
}
fn nullable() -> Box<dyn BoxableExpression<people::table, Db, SqlType = Nullable<Bool>>> {
    Box::new(people::nick.eq("ada"))
}
fn joined() -> Box<dyn BoxableExpression<diesel::dsl::InnerJoinQuerySource<notes::table, people::table>, Db, SqlType = Bool>> {
    Box::new(people::nick.eq("ada").assume_not_null())
}
fn all_of() -> Box<dyn BoxableExpression<people::table, Db, SqlType = Bool>> {
    (0..3).fold(condition(true), |all, id| Box::new(all.and(people::id.ne(id))))
}

struct Paginated<T> { query: T, page: i64 }
impl<T: Query> Query for Paginated<T> { type SqlType = (T::SqlType, BigInt); }
impl<T> QueryId for Paginated<T> { type QueryId = (); const HAS_STATIC_QUERY_ID: bool = false; }
impl<T: QueryFragment<Db>> QueryFragment<Db> for Paginated<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("SELECT *, COUNT(*) OVER () FROM (");
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(") t");
        Ok(())
    }
}
macro_rules! both {
    ($registry:ident, $session:ident, $work:ident; $($row:ty = $query:expr;)*) => {$(
        diesel_async::RunQueryDsl::load::<$row>($query, &mut **$session).await?;
        RunQueryDsl::load::<$row>($query, $registry).await?;
        RunQueryDsl::load::<$row>($query, &mut *$work).await?;
        RunQueryDsl::load::<$row>($query, &mut *$session).await?;
    )*};
}

async fn r3(registry: &Registry, session: &mut Session<Main>, work: &mut UnitOfWork) -> Result<(), Error> {
    both! { registry, session, work;
        i32 = people::table.filter(condition(true)).select(people::id);
        i32 = people::table.filter(nullable()).select(people::id);
        i32 = people::table.filter(condition(true).and(people::id.eq(1))).select(people::id);
        i32 = people::table.filter(people::id.eq(1).or(condition(true))).select(people::id);
        i32 = people::table.filter(not(condition(true))).filter(condition(false)).or_filter(condition(true)).select(people::id);
        i32 = people::table.filter(all_of()).select(people::id);
        i32 = people::table.filter(all_of()).select(people::id).into_boxed::<Db>();
        i32 = people::table.into_boxed::<Db>().filter(condition(true)).select(people::id);
        i32 = notes::table.inner_join(people::table).filter(joined()).select(people::id);
        i32 = people::table.filter(condition(true)).select(people::id).union(people::table.filter(condition(true)).select(people::id));
        i32 = people::table.filter(condition(true)).select(people::id).into_boxed::<Db>().union(people::table.filter(condition(true)).select(people::id).into_boxed::<Db>());
        i32 = people::table.select(people::id).union(notes::table.select(notes::id)).union_all(notes::table.select(notes::id).into_boxed::<Db>());
        i32 = people::table.select(people::id).union(notes::table.select(notes::id)).positional_order_by(1).limit(1).offset(2);
        i32 = people::table.select(people::id).union(diesel::select(1.into_sql::<Integer>()));
        bool = diesel::select(exists(people::table.filter(people::id.eq(1))));
        bool = diesel::select(exists(people::table.into_boxed::<Db>()));
        bool = diesel::select(not(exists(people::table.select(people::id))));
        bool = diesel::select(exists(people::table.select(people::id)).and(not(exists(notes::table.select(notes::id)))));
        (bool, bool) = diesel::select((exists(people::table.select(people::id)), exists(notes::table.select(notes::id))));
        bool = diesel::select(exists(people::table.select(people::id)).or(exists(notes::table.select(notes::id))));
        bool = diesel::select(people::table.select(people::id).single_value().gt(notes::table.select(notes::id).single_value()).assume_not_null());
        Option<i32> = diesel::select(people::table.select(people::id).single_value());
    }
    diesel::update(people::table.filter(condition(true))).set(people::name.eq("x")).execute(registry).await?;
    diesel::update(people::table).filter(condition(true)).set(people::name.eq("x")).execute(registry).await?;
    diesel::delete(people::table.filter(condition(true))).execute(registry).await?;
    diesel::delete(people::table).filter(condition(true)).execute(&mut *session).await?;
    let first: i32 = people::table.filter(condition(true)).select(people::id).first(registry).await?;
    Ok(())
}
fn send<T: Send>(_: T) {}
fn sends(registry: &Registry, session: &mut Session<Main>, work: &mut UnitOfWork) { send(r3(registry, session, work)) }

async fn r4(registry: &Registry, session: &mut Session<Main>, work: &mut UnitOfWork) -> Result<(), Error> {
    let text = || diesel::sql_query("SELECT name FROM people WHERE id = ?");
    text().into_boxed::<Db>().bind::<Integer, _>(1).load::<Name>(&mut *session).await?;
    text().into_boxed::<Db>().bind::<Integer, _>(1).bound_to::<Person>().load::<Name>(&mut *session).await?;
    text().into_boxed::<Db>().bind::<Integer, _>(1).bound_to::<Person>().load::<Name>(registry).await?;
    text().bind::<Integer, _>(1).bound_to::<Person>().load::<Name>(registry).await?;
    text().bind::<Integer, _>(1).load::<Name>(&mut *session).await?;
    let lit = || diesel::dsl::sql::<(Integer, Text)>("SELECT id, name FROM people WHERE id = ").bind::<Integer, _>(1);
    lit().bound_to::<Person>().load::<(i32, String)>(registry).await?;
    lit().load::<(i32, String)>(&mut *session).await?;
    let page = || Paginated { query: people::table.select(Person::as_select()), page: 1 };
    page().bound_to::<Person>().load::<(Person, i64)>(registry).await?;
    page().bound_to::<Person>().load::<(Person, i64)>(&mut *session).await?;
    page().bound_to::<Person>().load::<(Person, i64)>(&mut *work).await?;
    page().bound_to::<Person>().load_stream::<(Person, i64)>(registry).await?;
    page().bound_to::<Person>().get_result::<(Person, i64)>(registry).await?;
    page().bound_to::<Person>().execute(registry).await?;
    people::table.bound_to::<Person>().load::<Person>(registry).await?;
    people::table.bound_to::<Person>().first::<Person>(&mut *session).await?;
    people::table.filter(condition(true)).bound_to::<Person>().first::<Person>(registry).await?;
    diesel::insert_into(people::table).values(people::name.eq("x")).bound_to::<Person>().execute(registry).await?;
    diesel::select(exists(people::table.select(people::id))).into_boxed::<Db>().load::<bool>(&mut *session).await?;
    Ok(())
}
