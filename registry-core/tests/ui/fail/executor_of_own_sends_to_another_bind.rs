use registry_core::query::{IntoExecutor, QueryCall};
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

impl<'r> IntoExecutor for &'r mut Own<'_> {
    type Executor = &'r mut Session<Shop>;

    fn into_executor(self, _: QueryCall) -> &'r mut Session<Shop> {
        self.0
    }
}

async fn load(own: &mut Own<'_>) {
    let _ = products::table.load::<(i32, String)>(&mut *own).await;
    let _ = users::table.load::<(i32, String)>(own).await;
}

fn main() {}
