use diesel::prelude::*;
use registry_core::{RunQueryDsl, Session, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, products);
bind_tables!(People; users);
bind_tables!(Shop; products);

#[derive(diesel::query_builder::QueryId)]
struct Own;

impl diesel::query_builder::Query for Own {
    type SqlType = diesel::sql_types::Integer;
}

impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for Own {
    fn walk_ast<'b>(
        &'b self,
        mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
    ) -> QueryResult<()> {
        out.push_sql("SELECT 1");
        Ok(())
    }
}

async fn load(session: &mut Session<People>) {
    let _ = Own.load::<i32>(session).await;
}

fn main() {}
