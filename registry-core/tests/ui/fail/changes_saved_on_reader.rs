use diesel::prelude::*;
use registry_core::{Reader, SaveChangesDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

#[derive(Queryable, Identifiable, AsChangeset)]
struct Product {
    id: i32,
    name: String,
}

async fn save(product: &Product, reader: &Reader) {
    let _ = product.save_changes::<Product>(reader).await;
}

fn main() {}
