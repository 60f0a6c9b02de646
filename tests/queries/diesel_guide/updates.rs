//! Rows are updated all together, by a condition, by a model, and by the changes that a struct has.

use super::prelude::*;

diesel::table! {
    posts (id) {
        id -> BigInt,
        title -> Text,
        body -> Text,
        draft -> Bool,
        publish_at -> Timestamp,
        visit_count -> Integer,
    }
}

diesel::table! {
    notes (id) { id -> Integer, text -> Text, }
}

pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE posts (id BIGINT PRIMARY KEY NOT NULL, title VARCHAR(50) NOT NULL, \
        body VARCHAR(50) NOT NULL, draft BOOLEAN NOT NULL DEFAULT TRUE, \
        publish_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
        visit_count INTEGER NOT NULL DEFAULT 0)",
    "INSERT INTO posts (id, title, body, publish_at) VALUES (1, 'one', 'first', '2001-01-01 00:00:00'), \
        (2, 'two', 'second', '2037-01-01 00:00:00')",
    "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL, text VARCHAR(50) NOT NULL)",
    "INSERT INTO notes VALUES (1, 'to do'), (2, 'done')",
];

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Identifiable, AsChangeset)]
struct Post {
    id: i64,
    title: String,
    body: String,
    draft: bool,
    visit_count: i32,
}

#[derive(Debug, PartialEq, Queryable, Identifiable, AsChangeset)]
struct Note {
    id: i32,
    text: String,
}

#[derive(AsChangeset)]
#[diesel(table_name = posts)]
struct PostForm<'a> {
    title: Option<&'a str>,
    body: Option<&'a str>,
}

async fn publish_all(connection: &mut Connection) -> QueryResult<usize> {
    use self::posts::dsl::*;
    diesel::update(posts).set(draft.eq(false)).execute(connection).await
}

async fn publish_what_is_due(connection: &mut Connection) -> QueryResult<usize> {
    use self::posts::dsl::*;
    diesel::update(posts)
        .filter(publish_at.lt(diesel::dsl::now))
        .set(draft.eq(false))
        .execute(connection)
        .await
}

async fn publish(post: &Post, connection: &mut Connection) -> QueryResult<usize> {
    diesel::update(post).set(posts::draft.eq(false)).execute(connection).await
}

async fn count_a_visit(connection: &mut Connection) -> QueryResult<usize> {
    use self::posts::dsl::*;
    diesel::update(posts).set(visit_count.eq(visit_count + 1)).execute(connection).await
}

async fn redact(connection: &mut Connection) -> QueryResult<usize> {
    use self::posts::dsl::*;
    diesel::update(posts)
        .set((title.eq("[redacted]"), body.eq("[redacted]")))
        .execute(connection)
        .await
}

async fn overwrite_all(post: &Post, connection: &mut Connection) -> QueryResult<usize> {
    diesel::update(posts::table).set(post).execute(connection).await
}

async fn change_what_is_given(connection: &mut Connection) -> QueryResult<usize> {
    diesel::update(posts::table)
        .set(&PostForm { title: None, body: Some("new") })
        .execute(connection)
        .await
}

async fn save(note: &Note, connection: &mut Connection) -> QueryResult<Note> {
    note.save_changes(connection).await
}

async fn all(connection: &mut Connection) -> QueryResult<Vec<Post>> {
    posts::table.order(posts::id).select(Post::as_select()).load(connection).await
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    assert_eq!(publish_what_is_due(connection).await?, 1);
    let mut both = all(connection).await?;
    assert_eq!([both[0].draft, both[1].draft], [false, true]);
    assert_eq!(publish(&both[1], connection).await?, 1);
    assert_eq!(publish_all(connection).await?, 2);
    assert_eq!(count_a_visit(connection).await?, 2);
    both = all(connection).await?;
    assert!(both.iter().all(|post| !post.draft && post.visit_count == 1), "{both:?}");
    assert_eq!(change_what_is_given(connection).await?, 2);
    let changed = all(connection).await?;
    assert_eq!(changed[0], Post { body: "new".to_owned(), ..both[0].clone() });
    assert_eq!(redact(connection).await?, 2);
    assert_eq!(overwrite_all(&both[0], connection).await?, 2);
    let same = all(connection).await?;
    assert_eq!(same[1], Post { id: 2, ..both[0].clone() });
    let note = Note { id: 1, text: "done".to_owned() };
    assert_eq!(save(&note, connection).await?, note);
    let done = notes::table.filter(notes::text.eq("done")).count();
    assert_eq!(done.get_result::<i64>(connection).await?, 2);
    Ok(())
}
