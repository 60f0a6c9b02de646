use registry_core::query::{DelegatedQuery, DelegatingExecutor};
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

struct Own<'s>(&'s mut Session<Shop>);

impl<'r> DelegatingExecutor for &'r mut Own<'_> {
    type Target = &'r mut Session<Shop>;

    fn target(self, _: DelegatedQuery) -> &'r mut Session<Shop> {
        self.0
    }
}

async fn load(own: &mut Own<'_>) {
    let _ = products::table.load::<(i32, String)>(&mut *own).await;
    let _ = users::table.load::<(i32, String)>(own).await;
}

fn main() {}
