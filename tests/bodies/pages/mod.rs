//! Pages of a query, by number and by key, on each backend.

use diesel::prelude::*;
use diesel::sql_query;
use registry_core::query::paginate::{PageRequest, PaginateDsl};
use registry_core::{BindDsl, Bound, Registry, RunQueryDsl, Session, bind_tables};

use super::{Backend, database};

mod by_number;
mod keyset;

mod schema {
    diesel::table! { lists (id) { id -> Integer, name -> Text, } }
    diesel::table! { items (id) { id -> Integer, list_id -> Integer, score -> BigInt, name -> Text, } }
    diesel::table! { footnotes (id) { id -> Integer, name -> Text, } }

    diesel::joinable!(items -> lists (list_id));
    diesel::allow_tables_to_appear_in_same_query!(lists, items, footnotes);
}

use schema::{footnotes, items, lists};

bind_tables!(db = "default", connection = super::Backend; schema::lists, schema::items);
bind_tables!(db = "archive", connection = super::Backend; schema::footnotes);

type Main = <items::table as Bound>::Bind;
type Db = <Backend as diesel_async::AsyncConnectionCore>::Backend;

/// Seven items in two lists. The scores of items 1 to 7 are 30, 10, 20, 10, 30, 20 and 10.
async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("archive", database())
        .build()
        .expect("good settings");
    let mut session = registry.session::<Main>().await.expect("a session");
    for statement in [
        "CREATE TABLE lists (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)",
        "CREATE TABLE items (id INTEGER PRIMARY KEY NOT NULL, list_id INTEGER NOT NULL, score BIGINT NOT NULL, name VARCHAR(50) NOT NULL)",
        "INSERT INTO lists VALUES (1, 'one'), (2, 'two'), (3, 'empty')",
        "INSERT INTO items VALUES (1, 1, 30, 'a'), (2, 1, 10, 'b'), (3, 1, 20, 'c'), (4, 1, 10, 'd'), (5, 2, 30, 'e'), (6, 2, 20, 'f'), (7, 2, 10, 'g')",
    ] {
        sql_query(statement).execute(&mut session).await.expect("a database as it should be");
    }
    drop(session);
    registry
}

fn request(page: i64, per_page: i64) -> PageRequest {
    PageRequest::new(page, per_page).expect("a page")
}

/// The text of what was refused, which is in Diesel's `QueryBuilderError`.
fn refusal(error: &diesel::result::Error) -> String {
    match error {
        diesel::result::Error::QueryBuilderError(cause) => cause.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn refusal_on_registry(error: &registry_core::Error) -> String {
    match error {
        registry_core::Error::Query(error) => refusal(error.as_diesel()),
        other => panic!("not refused: {other:?}"),
    }
}
