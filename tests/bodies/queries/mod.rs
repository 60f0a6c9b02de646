//! Routed queries, which find their own database, on each backend.
//!
//! Every table is in both databases with different rows, so a query in the wrong database would return other rows.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use registry_core::{BindDsl, Bound, Registry, RunQueryDsl, bind, bind_tables};

use super::{Backend, database};

mod executors;
mod selects;
mod writes;

mod schema {
    diesel::table! { users (id) { id -> Integer, name -> Text, } }
    diesel::table! { posts (id) { id -> Integer, user_id -> Integer, title -> Text, } }
    diesel::table! { comments (id) { id -> Integer, post_id -> Integer, stars -> Integer, } }
    diesel::table! { events (id) { id -> Integer, name -> Text, } }

    diesel::joinable!(posts -> users (user_id));
    diesel::joinable!(comments -> posts (post_id));
    diesel::allow_tables_to_appear_in_same_query!(users, posts, comments, events);
}

use schema::{comments, events, posts, users};

bind_tables!(db = "default", connection = super::Backend; schema::users, schema::posts, schema::comments);
bind_tables!(db = "archive", connection = super::Backend; schema::events);

#[bind(table)]
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[diesel(table_name = users)]
struct User {
    id: i32,
    name: String,
}

#[bind(table)]
#[derive(Debug, PartialEq, Queryable, Selectable, Identifiable, Associations)]
#[diesel(table_name = posts, belongs_to(User))]
struct Post {
    id: i32,
    user_id: i32,
    title: String,
}

type Main = <User as Bound>::Bind;
type Archive = <events::table as Bound>::Bind;
type Db = <Backend as AsyncConnectionCore>::Backend;

/// Two databases. The rows of the first contain "main" and have ids below 100, those of the second "archive".
async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("archive", database())
        .build()
        .expect("good settings");
    for (key, first) in [("default", 0), ("archive", 100)] {
        let mut session = registry.session_by_key::<Backend>(key).await.expect("a session");
        let place = if first == 0 { "main" } else { key };
        for statement in [
            "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)".to_owned(),
            "CREATE TABLE posts (id INTEGER PRIMARY KEY NOT NULL, user_id INTEGER NOT NULL, title VARCHAR(50) NOT NULL)".to_owned(),
            "CREATE TABLE comments (id INTEGER PRIMARY KEY NOT NULL, post_id INTEGER NOT NULL, stars INTEGER NOT NULL)".to_owned(),
            "CREATE TABLE events (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)".to_owned(),
            format!("INSERT INTO users VALUES ({}, '{place} ada'), ({}, '{place} bob'), ({}, '{place} eve')", first + 1, first + 2, first + 3),
            format!("INSERT INTO posts VALUES ({0}, {0}, '{place} one'), ({1}, {0}, '{place} two'), ({2}, {1}, '{place} three')", first + 1, first + 2, first + 3),
            format!("INSERT INTO comments VALUES ({0}, {0}, 5), ({1}, {0}, 3), ({2}, {2}, 4)", first + 1, first + 2, first + 3),
            format!("INSERT INTO events VALUES ({}, '{place} start'), ({}, '{place} stop')", first + 1, first + 2),
        ] {
            session.batch_execute(&statement).await.expect("a database as it should be");
        }
    }
    registry
}

/// Loads on the registry and on a session, and asserts that both return the same.
macro_rules! load {
    ($registry:expr, $query:expr) => {{
        let routed = $query.load(&$registry).await.expect("rows");
        let mut session = $registry.session_for::<User>().await.expect("a session");
        equal(routed, $query.load(&mut session).await.expect("rows"))
    }};
}
use load;

fn equal<T: PartialEq + std::fmt::Debug>(routed: Vec<T>, on_session: Vec<T>) -> Vec<T> {
    assert_eq!(routed, on_session);
    routed
}

/// The names in a table of the main database, and in the table of that name in the archive.
async fn names(registry: &Registry, table: &str) -> (Vec<String>, Vec<String>) {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let all = format!("SELECT name FROM {table} ORDER BY id");
    // On sessions, because the table of that name in the archive is not bound.
    let mut session = registry.session::<Main>().await.expect("a session");
    let main: Vec<Name> = sql_query(&all).load(&mut session).await.expect("rows");
    let mut session = registry.session::<Archive>().await.expect("a session");
    let archive: Vec<Name> = sql_query(&all).load(&mut session).await.expect("rows");
    let text = |rows: Vec<Name>| rows.into_iter().map(|row| row.name).collect();
    (text(main), text(archive))
}

const ARCHIVE_USERS: [&str; 3] = ["archive ada", "archive bob", "archive eve"];
