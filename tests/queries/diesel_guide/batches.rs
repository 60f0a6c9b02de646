//! Many rows are inserted by one command. On SQLite, diesel-async has no such command.

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

async fn a_batch_of_columns(connection: &mut Connection) -> QueryResult<usize> {
    use self::users::dsl::*;
    insert_into(users).values(&vec![name.eq("Finn"), name.eq("Gina")]).execute(connection).await
}

async fn a_batch_with_defaults(connection: &mut Connection) -> QueryResult<usize> {
    use self::users::dsl::*;
    insert_into(users).values(&vec![Some(name.eq("Hugo")), None]).execute(connection).await
}

async fn a_batch_of_tuples(connection: &mut Connection) -> QueryResult<usize> {
    use self::users::dsl::*;
    insert_into(users)
        .values(&vec![
            (name.eq("Ina"), hair_color.eq("red")),
            (name.eq("Jo"), hair_color.eq("grey")),
        ])
        .execute(connection)
        .await
}

async fn a_batch_of_tuples_with_defaults(connection: &mut Connection) -> QueryResult<usize> {
    use self::users::dsl::*;
    insert_into(users)
        .values(&vec![(name.eq("Kim"), Some(hair_color.eq("red"))), (name.eq("Lea"), None)])
        .execute(connection)
        .await
}

async fn a_batch_of_structs(connection: &mut Connection) -> QueryResult<usize> {
    let forms = ["Max", "Nora"].map(|name| UserForm { name, hair_color: Some("blond") });
    insert_into(users::table).values(&forms).execute(connection).await
}

async fn an_owned_batch_of_structs(connection: &mut Connection) -> QueryResult<usize> {
    let forms = vec![UserForm { name: "Olga", hair_color: None }];
    insert_into(users::table).values(forms).execute(connection).await
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    assert_eq!(a_batch_of_columns(connection).await?, 2);
    assert_eq!(a_batch_with_defaults(connection).await?, 2);
    assert_eq!(a_batch_of_tuples(connection).await?, 2);
    assert_eq!(a_batch_of_tuples_with_defaults(connection).await?, 2);
    assert_eq!(a_batch_of_structs(connection).await?, 2);
    assert_eq!(an_owned_batch_of_structs(connection).await?, 1);
    let names = users::table.select(users::name).order(users::id);
    let names: Vec<String> = names.load(&mut *connection).await?;
    assert_eq!(names.join(" "), "Finn Gina Hugo somebody Ina Jo Kim Lea Max Nora Olga");
    let bald = users::table.filter(users::hair_color.is_null()).count();
    assert_eq!(bald.get_result::<i64>(connection).await?, 6);
    Ok(())
}
