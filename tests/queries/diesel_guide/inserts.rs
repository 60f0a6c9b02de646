//! A row is inserted with defaults, by columns, and from a struct.

use super::prelude::*;
use diesel::insert_into;

diesel::table! {
    users (id) {
        id -> Integer,
        name -> Text,
        hair_color -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

pub(super) const TABLES: &[&str] = &["CREATE TABLE users (id {key}, \
    name VARCHAR(50) NOT NULL DEFAULT 'somebody', hair_color VARCHAR(50), \
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"];

#[derive(Insertable)]
#[diesel(table_name = users)]
struct UserForm<'a> {
    name: &'a str,
    hair_color: Option<&'a str>,
}

async fn defaults(connection: &mut Connection) -> QueryResult<usize> {
    use self::users::dsl::*;
    insert_into(users).default_values().execute(connection).await
}

async fn one_column(connection: &mut Connection) -> QueryResult<usize> {
    use self::users::dsl::*;
    insert_into(users).values(name.eq("Ada")).execute(connection).await
}

async fn several_columns(connection: &mut Connection) -> QueryResult<usize> {
    use self::users::dsl::*;
    insert_into(users).values((name.eq("Bob"), hair_color.eq("brown"))).execute(connection).await
}

async fn a_struct(connection: &mut Connection) -> QueryResult<usize> {
    let form = UserForm { name: "Cleo", hair_color: Some("black") };
    insert_into(users::table).values(&form).execute(connection).await
}

async fn a_struct_without_a_value(connection: &mut Connection) -> QueryResult<usize> {
    let form = UserForm { name: "Dora", hair_color: None };
    insert_into(users::table).values(&form).execute(connection).await
}

async fn an_owned_struct(connection: &mut Connection) -> QueryResult<usize> {
    let form = UserForm { name: "Emil", hair_color: None };
    insert_into(users::table).values(form).execute(connection).await
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    assert_eq!(defaults(connection).await?, 1);
    assert_eq!(one_column(connection).await?, 1);
    assert_eq!(several_columns(connection).await?, 1);
    assert_eq!(a_struct(connection).await?, 1);
    assert_eq!(a_struct_without_a_value(connection).await?, 1);
    assert_eq!(an_owned_struct(connection).await?, 1);
    let names = users::table.select(users::name).order(users::id);
    let names: Vec<String> = names.load(&mut *connection).await?;
    assert_eq!(names, ["somebody", "Ada", "Bob", "Cleo", "Dora", "Emil"]);
    let bald = users::table.filter(users::hair_color.is_null()).count();
    assert_eq!(bald.get_result::<i64>(connection).await?, 4);
    Ok(())
}
