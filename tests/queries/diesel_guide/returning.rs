//! An `INSERT`, `UPDATE` or `DELETE` returns the rows that it has written.

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

async fn the_row(connection: &mut Connection) -> QueryResult<User> {
    use self::users::dsl::*;
    insert_into(users).values((id.eq(3), name.eq("Ruby"))).get_result(connection).await
}

async fn a_column(connection: &mut Connection) -> QueryResult<i32> {
    use self::users::dsl::*;
    insert_into(users).values(name.eq("Ada")).returning(id).get_result(connection).await
}

async fn columns(connection: &mut Connection) -> QueryResult<(i32, String)> {
    use self::users::dsl::*;
    insert_into(users).values(name.eq("Bob")).returning((id, name)).get_result(connection).await
}

async fn updated_rows(connection: &mut Connection, color: &str) -> QueryResult<Vec<User>> {
    diesel::update(users::table.filter(users::id.ne(3)))
        .set(users::hair_color.eq(color))
        .load(connection)
        .await
}

async fn deleted_names(connection: &mut Connection) -> QueryResult<Vec<String>> {
    diesel::delete(users::table).returning(users::name).get_results(connection).await
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let ruby = User { id: 3, name: "Ruby".to_owned(), hair_color: None };
    assert_eq!(the_row(connection).await?, ruby);
    let id = a_column(connection).await?;
    let found: User = users::table.find(id).first(&mut *connection).await?;
    assert_eq!(found, User { id, name: "Ada".to_owned(), hair_color: None });
    assert_eq!(columns(connection).await?.1, "Bob");
    let red = updated_rows(connection, "red").await?;
    assert!(red.len() == 2 && red.iter().all(|user| user.hair_color.as_deref() == Some("red")));
    assert_eq!(deleted_names(connection).await?.len(), 3);
    Ok(())
}
