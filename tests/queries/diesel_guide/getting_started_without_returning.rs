//! As `getting_started`, on a database without `RETURNING`: what was written is read in the same transaction.

use super::prelude::*;

diesel::table! {
    posts (id) { id -> Integer, title -> VarChar, body -> Text, published -> Bool, }
}

pub(super) const TABLES: &[&str] = &["CREATE TABLE posts (id {key}, title VARCHAR(50) NOT NULL, \
    body TEXT NOT NULL, published BOOLEAN NOT NULL DEFAULT FALSE)"];

#[derive(Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = posts)]
struct Post {
    id: i32,
    title: String,
    body: String,
    published: bool,
}

#[derive(Insertable)]
#[diesel(table_name = posts)]
struct NewPost<'a> {
    title: &'a str,
    body: &'a str,
}

async fn write(connection: &mut Connection, title: &str, body: &str) -> QueryResult<Post> {
    connection
        .transaction(async |connection| {
            diesel::insert_into(posts::table)
                .values(&NewPost { title, body })
                .execute(&mut *connection)
                .await?;
            posts::table.order(posts::id.desc()).select(Post::as_select()).first(connection).await
        })
        .await
}

async fn publish(connection: &mut Connection, id: i32) -> QueryResult<Post> {
    let published = connection.transaction::<_, diesel::result::Error, _>(async |connection| {
        let post = posts::table.find(id).select(Post::as_select()).first(&mut *connection).await?;
        diesel::update(posts::table.find(id))
            .set(posts::published.eq(true))
            .execute(connection)
            .await?;
        Ok(post)
    });
    published.await
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let draft = write(connection, "On ferries", "They cross.").await?;
    assert_eq!(publish(connection, draft.id).await?, draft);
    let published = posts::table.filter(posts::published).select(posts::id);
    assert_eq!(published.load::<i32>(&mut *connection).await?, [draft.id]);
    let none = publish(connection, 7).await;
    assert_eq!(none, Err(diesel::result::Error::NotFound));
    Ok(())
}
