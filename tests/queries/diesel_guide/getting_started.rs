//! Posts of a blog are written, shown, found, published and deleted.

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
    diesel::insert_into(posts::table)
        .values(&NewPost { title, body })
        .returning(Post::as_returning())
        .get_result(connection)
        .await
}

async fn shown(connection: &mut Connection) -> QueryResult<Vec<Post>> {
    use self::posts::dsl::*;
    posts.filter(published.eq(true)).limit(5).select(Post::as_select()).load(connection).await
}

async fn find(connection: &mut Connection, id: i32) -> QueryResult<Option<Post>> {
    posts::table.find(id).select(Post::as_select()).first(connection).await.optional()
}

async fn publish(connection: &mut Connection, id: i32) -> QueryResult<Post> {
    diesel::update(posts::table.find(id))
        .set(posts::published.eq(true))
        .returning(Post::as_returning())
        .get_result(connection)
        .await
}

async fn delete(connection: &mut Connection, part: &str) -> QueryResult<usize> {
    let pattern = format!("%{part}%");
    diesel::delete(posts::table.filter(posts::title.like(pattern))).execute(connection).await
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let draft = write(connection, "On ferries", "They cross.").await?;
    assert_eq!(find(connection, draft.id).await?.as_ref(), Some(&draft));
    assert_eq!(shown(connection).await?, []);
    let post = publish(connection, draft.id).await?;
    assert_eq!(post, Post { published: true, ..draft });
    assert_eq!(shown(connection).await?, [post]);
    assert_eq!(delete(connection, "ferr").await?, 1);
    assert_eq!(find(connection, 1).await?, None);
    Ok(())
}
