//! A blog with accounts, posts, comments and pages.

use diesel::result::DatabaseErrorKind::UniqueViolation;
use diesel::result::Error::DatabaseError;

use super::extending::pagination::Paginate;
use super::prelude::*;

diesel::table! {
    users (id) { id -> Integer, username -> Text, hashed_password -> Text, }
}
diesel::table! {
    posts (id) {
        id -> Integer,
        user_id -> Integer,
        title -> Text,
        body -> Text,
        published_at -> Nullable<Timestamp>,
    }
}
diesel::table! {
    comments (id) { id -> Integer, user_id -> Integer, post_id -> Integer, body -> Text, }
}

diesel::joinable!(comments -> posts (post_id));
diesel::joinable!(comments -> users (user_id));
diesel::joinable!(posts -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(comments, posts, users);

pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE users (id SERIAL PRIMARY KEY, username TEXT NOT NULL UNIQUE, hashed_password TEXT NOT NULL)",
    "CREATE TABLE posts (id SERIAL PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), \
        title TEXT NOT NULL, body TEXT NOT NULL, published_at TIMESTAMP)",
    "CREATE TABLE comments (id SERIAL PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), \
        post_id INTEGER NOT NULL REFERENCES posts (id), body TEXT NOT NULL)",
];

#[derive(Debug, Clone, PartialEq, Queryable, Identifiable)]
struct User {
    id: i32,
    username: String,
}

#[derive(Queryable)]
struct UserWithPassword {
    user: User,
    password: String,
}

#[derive(Debug, PartialEq)]
enum Status {
    Draft,
    Published,
}

impl From<Option<std::time::SystemTime>> for Status {
    fn from(at: Option<std::time::SystemTime>) -> Self {
        at.map_or(Self::Draft, |_| Self::Published)
    }
}

#[derive(Debug, Queryable, Identifiable, Associations)]
#[diesel(belongs_to(User))]
struct Post {
    id: i32,
    user_id: i32,
    title: String,
    body: String,
    #[diesel(deserialize_as = Option<std::time::SystemTime>)]
    status: Status,
}

#[derive(Debug, Queryable, Identifiable, Associations)]
#[diesel(belongs_to(User), belongs_to(Post))]
struct Comment {
    id: i32,
    user_id: i32,
    post_id: i32,
    body: String,
}

async fn register(connection: &mut Connection, name: &str, password: &str) -> QueryResult<User> {
    diesel::insert_into(users::table)
        .values((users::username.eq(name), users::hashed_password.eq(password)))
        .returning((users::id, users::username))
        .get_result(connection)
        .await
}

async fn log_in(
    connection: &mut Connection,
    name: &str,
    password: &str,
) -> QueryResult<Option<User>> {
    let found = users::table
        .filter(users::username.eq(name))
        .select(((users::id, users::username), users::hashed_password))
        .first::<UserWithPassword>(connection)
        .await
        .optional()?;
    Ok(found.filter(|found| found.password == password).map(|found| found.user))
}

async fn write_post(connection: &mut Connection, user: &User, title: &str) -> QueryResult<i32> {
    diesel::insert_into(posts::table)
        .values((posts::user_id.eq(user.id), posts::title.eq(title), posts::body.eq("")))
        .returning(posts::id)
        .get_result::<i32>(connection)
        .await
}

async fn edit_post(
    connection: &mut Connection,
    user: &User,
    id: i32,
    publish: bool,
) -> QueryResult<()> {
    let post = Post::belonging_to(user).find(id).first::<Post>(&mut *connection).await?;
    let status = match post.status {
        Status::Draft if publish => Some(posts::published_at.eq(diesel::dsl::now.nullable())),
        _ => None,
    };
    diesel::update(&post)
        .set((posts::body.eq(post.body.clone() + "edited"), status))
        .execute(connection)
        .await?;
    Ok(())
}

async fn comment(connection: &mut Connection, user: &User, post: i32) -> QueryResult<i32> {
    use self::comments::dsl::*;
    diesel::insert_into(comments)
        .values((user_id.eq(user.id), post_id.eq(post), body.eq("well")))
        .returning(id)
        .get_result::<i32>(connection)
        .await
}

async fn edit_comment(connection: &mut Connection, user: &User, id: i32) -> QueryResult<()> {
    let comment = Comment::belonging_to(user).find(id).first::<Comment>(&mut *connection).await?;
    diesel::update(comments::table)
        .set(comments::body.eq(comment.body + ", well"))
        .execute(connection)
        .await?;
    Ok(())
}

async fn all_posts(connection: &mut Connection) -> QueryResult<Vec<(String, usize)>> {
    let query = posts::table
        .order(posts::published_at.desc())
        .filter(posts::published_at.is_not_null())
        .inner_join(users::table)
        .select((posts::all_columns, (users::id, users::username)))
        .paginate(1)
        .per_page(25);
    let (found, pages) = query.load_and_count_pages::<(Post, User)>(connection).await?;
    assert_eq!(pages, i64::from(!found.is_empty()));
    let (posts, authors): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    assert!(authors.iter().zip(&posts).all(|(author, post)| author.id == post.user_id));
    let comments = Comment::belonging_to(&posts)
        .inner_join(users::table)
        .select((comments::all_columns, (users::id, users::username)))
        .load::<(Comment, User)>(connection)
        .await?
        .grouped_by(&posts);
    Ok(posts.into_iter().map(|post| post.title).zip(comments.iter().map(Vec::len)).collect())
}

async fn my_comments(
    connection: &mut Connection,
    user: &User,
) -> QueryResult<Vec<(Comment, String)>> {
    let query = Comment::belonging_to(user)
        .order(comments::id.desc())
        .inner_join(posts::table)
        .select((comments::all_columns, posts::title))
        .paginate(1);
    Ok(query.load_and_count_pages::<(Comment, String)>(connection).await?.0)
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let ada = register(connection, "ada", "secret").await?;
    let again = register(connection, "ada", "other").await;
    assert!(matches!(again, Err(DatabaseError(UniqueViolation, _))), "{again:?}");
    let bob = register(connection, "bob", "hidden").await?;
    assert_eq!(log_in(connection, "ada", "secret").await?.as_ref(), Some(&ada));
    assert_eq!(log_in(connection, "ada", "wrong").await?, None);
    assert_eq!(log_in(connection, "eve", "secret").await?, None);
    let post = write_post(connection, &ada, "On ferries").await?;
    assert_eq!(all_posts(connection).await?, []);
    edit_post(connection, &ada, post, true).await?;
    let missing = edit_post(connection, &bob, post, true).await;
    assert_eq!(missing, Err(diesel::result::Error::NotFound));
    let first = comment(connection, &bob, post).await?;
    comment(connection, &ada, post).await?;
    edit_comment(connection, &bob, first).await?;
    assert_eq!(all_posts(connection).await?, [("On ferries".to_owned(), 2)]);
    let his = my_comments(connection, &bob).await?;
    assert_eq!(his[0].0.body, "well, well");
    assert_eq!((his.len(), his[0].0.post_id, his[0].1.as_str()), (1, post, "On ferries"));
    Ok(())
}
