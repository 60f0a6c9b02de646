#![allow(dead_code, unused)]
use diesel::prelude::*;
use diesel::sql_types::*;
use diesel::dsl::{exists, not, max, now};
use diesel::query_builder::*;
use registry_core::{BindDsl, Error, Registry, RunQueryDsl, Session, UnitOfWork, bind, bind_tables, binds};
use diesel::query_dsl::positional_order_dsl::PositionalOrderDsl;

binds! { Main: Postgres = "default"; Far: Postgres = "far"; }
diesel::table! { people (id) { id -> Integer, name -> Text, nick -> Nullable<Text>, } }
diesel::table! { teams (id) { id -> Integer, name -> Text, nick -> Nullable<Text>, } }
diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
diesel::table! { free (id) { id -> Integer, person_id -> Integer, text -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(people, notes, free, teams);
bind_tables!(Main; people, teams);
bind_tables!(Far; notes);
type Db = diesel::pg::Pg;
async fn q1(registry: &Registry) {
   diesel::select(1.into_sql::<Integer>()).load::<i32>(registry).await;
}
async fn q2(registry: &Registry) {
   diesel::select(diesel::dsl::sql::<Integer>("1")).load::<i32>(registry).await;
}
async fn q3(registry: &Registry) {
   diesel::select(now).load::<std::time::SystemTime>(registry).await;
}
async fn q4(registry: &Registry) {
   people::table.for_update().load::<(i32, String, Option<String>)>(registry).await;
}
async fn q5(registry: &Registry) {
   people::table.select(people::id).for_update().skip_locked().first::<i32>(registry).await;
}
async fn q6(registry: &Registry) {
   people::table.select(people::id).union(people::table.select(people::id).for_share()).load::<i32>(registry).await;
}
async fn q7(registry: &Registry) {
   diesel::select(exists(people::table.filter(people::id.eq_any(notes::table.select(notes::id))))).get_result::<bool>(registry).await;
}
async fn q8(s: &mut Session<Main>) {
   diesel::select(exists(people::table.filter(people::id.eq_any(teams::table.filter(exists(notes::table.select(notes::id))).select(teams::id))))).get_result::<bool>(s).await;
}
async fn q9(r: &Registry) {
   people::table.select(people::id).union(notes::table.select(notes::id).into_boxed::<Db>()).load::<i32>(r).await;
}
async fn q10(r: &Registry) {
   people::table.select(people::id).into_boxed::<Db>().union(notes::table.select(notes::id).into_boxed::<Db>()).load::<i32>(r).await;
}
async fn q11(r: &Registry) {
   free::table.load::<(i32, i32, String)>(r).await;
}
async fn q12(r: &Registry) {
   people::table.select(people::id).union(free::table.select(free::id)).load::<i32>(r).await;
}
fn condition(all: bool) -> Box<dyn BoxableExpression<people::table, Db, SqlType = Bool>> {
    if all { Box::new(people::id.gt(0)) } else { Box::new(people::name.eq("ada")) }
}
async fn q13(r: &Registry) {
   people::table.filter(condition(true)).select(people::id).union(notes::table.select(notes::id)).load::<i32>(r).await;
}
struct Custom; impl Query for Custom { type SqlType = Integer; }
impl QueryId for Custom { type QueryId = (); const HAS_STATIC_QUERY_ID: bool = false; }
impl QueryFragment<Db> for Custom { fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> { Ok(()) } }
async fn q14(r: &Registry) { Custom.load::<i32>(r).await; }
async fn q15(r: &mut Session<Main>) { Custom.load::<i32>(r).await; }
async fn f<E: registry_core::query::Lender<Main>>(on: E) {}
async fn q16(r: &mut Session<Far>) { f(r).await; }
async fn q17(r: &mut registry_core::Postgres) { f(r).await; }
