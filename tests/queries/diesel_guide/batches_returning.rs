//! An `INSERT` of many rows returns them all. On SQLite, diesel-async has no such command, and this crate neither.

use super::prelude::*;
use diesel::insert_into;

diesel::table! {
    users (id) { id -> Integer, name -> Text, hair_color -> Nullable<Text>, }
}

pub(super) const TABLES: &[&str] =
    &["CREATE TABLE users (id {key}, name VARCHAR(50) NOT NULL, hair_color VARCHAR(50))"];

#[derive(Debug, PartialEq, Queryable)]
struct User {
    id: i32,
    name: String,
    hair_color: Option<String>,
}

async fn all_rows(connection: &mut Connection) -> QueryResult<Vec<User>> {
    use self::users::dsl::*;
    let rows = vec![(id.eq(11), name.eq("Cleo")), (id.eq(12), name.eq("Dora"))];
    insert_into(users).values(&rows).get_results(connection).await
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let rows = [(11, "Cleo"), (12, "Dora")];
    let rows = rows.map(|(id, name)| User { id, name: name.to_owned(), hair_color: None });
    assert_eq!(all_rows(connection).await?, rows);
    Ok(())
}
