//! What diesel-async adds to Diesel: streams of rows, and transactions of asynchronous functions.

use futures_util::{StreamExt, TryStreamExt};

use super::prelude::*;

diesel::table! {
    users (id) { id -> Integer, name -> Text, }
}

pub(super) const TABLES: &[&str] =
    &["CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)"];

#[derive(Debug, PartialEq, Queryable, Selectable, QueryableByName)]
struct User {
    id: i32,
    name: String,
}

async fn all(connection: &mut Connection) -> QueryResult<Vec<User>> {
    users::table
        .filter(users::id.gt(1))
        .or_filter(users::name.like("%Luke"))
        .select(User::as_select())
        .order(users::id)
        .load(connection)
        .await
}

async fn names(connection: &mut Connection) -> QueryResult<Vec<String>> {
    let mut rows = users::table
        .select(User::as_select())
        .order(users::id)
        .load_stream::<User>(connection)
        .await?;
    let mut names = Vec::new();
    while let Some(user) = rows.try_next().await? {
        names.push(user.name);
    }
    Ok(names)
}

async fn lengths(connection: &mut Connection) -> QueryResult<Vec<usize>> {
    let rows = users::table.select(users::name).order(users::id).load_stream::<String>(connection);
    rows.await?.map(|name| name.map(|name| name.len())).try_collect().await
}

async fn insert_and_count(connection: &mut Connection, name: &str) -> QueryResult<usize> {
    connection
        .transaction::<_, diesel::result::Error, _>(async |connection| {
            diesel::insert_into(users::table)
                .values((users::id.eq(3), users::name.eq(name)))
                .execute(&mut *connection)
                .await?;
            let all = users::table.select(users::name).load::<String>(connection).await?;
            Ok(all.len())
        })
        .await
}

async fn rename_in_a_nested_transaction(connection: &mut Connection) -> QueryResult<()> {
    connection
        .transaction(async |connection| {
            let undone: QueryResult<()> = connection
                .transaction(async |connection| {
                    diesel::delete(users::table).execute(connection).await?;
                    Err(diesel::result::Error::RollbackTransaction)
                })
                .await;
            assert_eq!(undone, Err(diesel::result::Error::RollbackTransaction));
            diesel::update(users::table.filter(users::name.eq("Ruby")))
                .set(users::name.eq("Rubia"))
                .execute(connection)
                .await?;
            Ok(())
        })
        .await
}

async fn by_text(connection: &mut Connection) -> QueryResult<Vec<User>> {
    diesel::sql_query("SELECT id, name FROM users ORDER BY id").load(connection).await
}

async fn ping(connection: &mut Connection) -> QueryResult<i32> {
    let one = diesel::dsl::sql::<diesel::sql_types::Integer>("1");
    diesel::select(one).get_result(connection).await
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    for (id, name) in [(1, "iLuke"), (2, "toto")] {
        let user = (users::id.eq(id), users::name.eq(name));
        diesel::insert_into(users::table).values(user).execute(&mut *connection).await?;
    }
    assert_eq!(all(connection).await?.len(), 2);
    assert_eq!(names(connection).await?, ["iLuke", "toto"]);
    assert_eq!(lengths(connection).await?, [5, 4]);
    assert_eq!(insert_and_count(connection, "Ruby").await?, 3);
    rename_in_a_nested_transaction(connection).await?;
    assert_eq!(by_text(connection).await?[2], User { id: 3, name: "Rubia".to_owned() });
    assert_eq!(ping(connection).await?, 1);
    Ok(())
}
