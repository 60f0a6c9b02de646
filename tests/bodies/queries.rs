//! Queries that find their own database, on each backend.
//!
//! Every table is in both databases, with other rows: a query that went astray would find them.

use std::pin::pin;

use diesel::associations::HasTable;
use diesel::dsl::{count_star, exists, max, not, sum};
use diesel::prelude::*;
use diesel::query_dsl::positional_order_dsl::PositionalOrderDsl;
use diesel::sql_query;
use diesel::sql_types::{Integer, Text};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use futures_util::{StreamExt, TryStreamExt};
use registry_core::{
    BindDsl, Bound, ByKey, Error, OptionalExtension, Registry, RunQueryDsl, SaveChangesDsl,
    Session, bind, bind_tables,
};

use super::{Backend, NAME, database};
use crate::support::log::captured_log;
use crate::support::{causes, eventually};

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

/// Bound to the other database, and without a table that would tell.
#[bind(db = "archive", connection = super::Backend)]
#[derive(Debug, PartialEq, Queryable)]
struct Archived {
    id: i32,
    name: String,
}

type Main = <User as Bound>::Bind;
type Archive = <events::table as Bound>::Bind;
type Db = <Backend as AsyncConnectionCore>::Backend;

/// Two databases. The rows of the one say "main" and have small ids, those of the other "archive".
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

/// Loads with the registry and with a session, which find the same.
macro_rules! load {
    ($registry:expr, $query:expr) => {{
        let routed = $query.load(&$registry).await.expect("rows");
        let mut session = $registry.session_for::<User>().await.expect("a session");
        equal(routed, $query.load(&mut session).await.expect("rows"))
    }};
}

fn equal<T: PartialEq + std::fmt::Debug>(routed: Vec<T>, on_session: Vec<T>) -> Vec<T> {
    assert_eq!(routed, on_session);
    routed
}

/// What stands in both databases under a table's name.
async fn names(registry: &Registry, table: &str) -> (Vec<String>, Vec<String>) {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let all = format!("SELECT name FROM {table} ORDER BY id");
    let main: Vec<Name> = sql_query(&all).bound_to::<Main>().load(registry).await.expect("rows");
    let archive: Vec<Name> =
        sql_query(&all).bound_to::<Archive>().load(registry).await.expect("rows");
    let text = |rows: Vec<Name>| rows.into_iter().map(|row| row.name).collect();
    (text(main), text(archive))
}

const ARCHIVE_USERS: [&str; 3] = ["archive ada", "archive bob", "archive eve"];

#[tokio::test]
async fn tables_and_models_are_found_where_they_are() {
    let registry = registry().await;
    let all: Vec<User> = load!(registry, users::table.order(users::id));
    assert_eq!(
        all.iter().map(|user| &user.name).collect::<Vec<_>>(),
        ["main ada", "main bob", "main eve"]
    );
    let other: Vec<String> =
        events::table.select(events::name).order(events::id).load(&registry).await.expect("rows");
    assert_eq!(other, ["archive start", "archive stop"]);
    // One type alone in the turbofish, as with diesel-async.
    let ids =
        users::table.select(users::id).order(users::id).load::<i32>(&registry).await.expect("rows");
    assert_eq!(ids, [1, 2, 3]);
    let ids = users::table.select(users::id).get_results::<i32>(&registry).await.expect("rows");
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn every_clause_keeps_its_way() {
    let registry = registry().await;
    let found: Vec<User> = load!(
        registry,
        users::table
            .filter(users::name.like("%b%").and(users::id.gt(1)))
            .or_filter(users::id.eq(3))
            .order(users::name.desc())
            .limit(5)
            .offset(1)
            .select(User::as_select())
    );
    assert_eq!(found, [User { id: 2, name: "main bob".to_owned() }]);
    let found: Vec<i32> =
        load!(registry, posts::table.select(posts::user_id).distinct().order(posts::user_id));
    assert_eq!(found, [1, 2]);
    let found: Vec<(i32, i64)> = load!(
        registry,
        posts::table
            .group_by(posts::user_id)
            .having(count_star().gt(1))
            .select((posts::user_id, count_star()))
    );
    assert_eq!(found, [(1, 2)]);
    let found: Vec<Option<i64>> = load!(registry, comments::table.select(sum(comments::stars)));
    assert_eq!(found, [Some(12)]);
    let found: Vec<i64> = load!(registry, users::table.count());
    assert_eq!(found, [3]);
    let last: Option<i32> =
        users::table.select(max(users::id)).first(&registry).await.expect("a row");
    assert_eq!(last, Some(3));
    let user: User = users::table.find(2).get_result(&registry).await.expect("a row");
    assert_eq!(user.name, "main bob");
    let user: User = users::table.find(2).first(&registry).await.expect("a row");
    assert_eq!(user.id, 2);
}

#[tokio::test]
async fn no_row_is_none_for_the_registry_as_for_a_session() {
    let registry = registry().await;
    let mut session = registry.session_for::<User>().await.expect("a session");
    let on_session: QueryResult<Option<User>> =
        users::table.find(101).first(&mut session).await.optional();
    assert_eq!(on_session.expect("no error"), None);
    let routed: Result<Option<User>, Error> =
        users::table.find(101).first(&registry).await.optional();
    assert_eq!(routed.expect("no error"), None);
    let error = users::table.find(101).first::<User>(&registry).await.expect_err("no such row");
    assert!(
        matches!(&error, Error::Query(e) if matches!(e.as_diesel(), diesel::result::Error::NotFound)),
        "{error:?}"
    );
}

#[tokio::test]
async fn boxed_queries_that_grow_in_a_loop() {
    let registry = registry().await;
    let build = || {
        let mut query = users::table.into_boxed::<Db>();
        for id in [1, 3] {
            query = query.or_filter(users::id.eq(id));
        }
        query.order(users::id)
    };
    let found: Vec<User> = load!(registry, build());
    assert_eq!(found.iter().map(|user| user.id).collect::<Vec<_>>(), [1, 3]);
    let joined = || {
        posts::table
            .inner_join(users::table)
            .filter(users::id.eq(2))
            .select(posts::title)
            .into_boxed::<Db>()
    };
    let found: Vec<String> = load!(registry, joined());
    assert_eq!(found, ["main three"]);
}

#[tokio::test]
async fn joins() {
    let registry = registry().await;
    let found: Vec<(String, String)> = load!(
        registry,
        users::table
            .inner_join(posts::table)
            .filter(posts::id.lt(3))
            .order(posts::id)
            .select((users::name, posts::title))
    );
    assert_eq!(
        found,
        [
            ("main ada".to_owned(), "main one".to_owned()),
            ("main ada".to_owned(), "main two".to_owned())
        ]
    );
    let found: Vec<(String, Option<String>)> = load!(
        registry,
        users::table
            .left_join(posts::table)
            .filter(posts::id.is_null())
            .select((users::name, posts::title.nullable()))
    );
    assert_eq!(found, [("main eve".to_owned(), None)]);
    let nested: Vec<(String, i32)> = load!(
        registry,
        users::table
            .inner_join(posts::table.inner_join(comments::table))
            .filter(comments::stars.gt(3))
            .order(comments::id)
            .select((users::name, comments::stars))
    );
    assert_eq!(nested, [("main ada".to_owned(), 5), ("main bob".to_owned(), 4)]);
    type Comments = Option<(i32, i32, i32)>;
    let three_deep: Vec<(User, Option<(Post, Comments)>)> = load!(
        registry,
        users::table.left_join(posts::table.left_join(comments::table)).filter(users::id.eq(3))
    );
    assert!(matches!(&three_deep[..], [(User { id: 3, .. }, None)]));
    let on: Vec<(i32, i32)> = load!(
        registry,
        users::table
            .inner_join(comments::table.on(comments::id.eq(users::id)))
            .order(users::id)
            .select((users::id, comments::stars))
    );
    assert_eq!(on, [(1, 5), (2, 3), (3, 4)]);
}

#[tokio::test]
async fn aliases_and_self_joins() {
    let registry = registry().await;
    let (one, other) = diesel::alias!(users as one, users as other);
    let pairs: Vec<(i32, i32)> = load!(
        registry,
        one.inner_join(other.on(one.field(users::id).lt(other.field(users::id))))
            .select((one.field(users::id), other.field(users::id)))
            .order((one.field(users::id), other.field(users::id)))
    );
    assert_eq!(pairs, [(1, 2), (1, 3), (2, 3)]);
    let writer = diesel::alias!(users as writer);
    let found: Vec<String> = load!(
        registry,
        users::table
            .filter(exists(
                posts::table
                    .inner_join(writer.on(writer.field(users::id).eq(posts::user_id)))
                    .filter(posts::user_id.eq(users::id))
                    .filter(writer.field(users::name).like("%bob"))
            ))
            .select(users::name)
    );
    assert_eq!(found, ["main bob"]);
}

#[tokio::test]
async fn subqueries() {
    let registry = registry().await;
    let found: Vec<String> =
        load!(
            registry,
            users::table
                .filter(users::id.eq_any(
                    posts::table.filter(posts::title.like("%three")).select(posts::user_id)
                ))
                .select(users::name)
        );
    assert_eq!(found, ["main bob"]);
    let silent: Vec<String> = load!(
        registry,
        users::table
            .filter(not(exists(posts::table.filter(posts::user_id.eq(users::id)))))
            .select(users::name)
    );
    assert_eq!(silent, ["main eve"]);
    let deep: Vec<i32> = load!(
        registry,
        users::table
            .filter(
                users::id.eq_any(
                    posts::table
                        .filter(posts::id.eq_any(
                            comments::table.filter(comments::stars.eq(4)).select(comments::post_id)
                        ))
                        .select(posts::user_id)
                )
            )
            .select(users::id)
    );
    assert_eq!(deep, [2]);
    let in_select: Vec<(i32, Option<i32>)> = load!(
        registry,
        users::table
            .select((
                users::id,
                posts::table
                    .filter(posts::user_id.eq(users::id))
                    .select(max(posts::id))
                    .single_value()
            ))
            .order(users::id)
            .limit(2)
    );
    assert_eq!(in_select, [(1, Some(2)), (2, Some(3))]);
}

#[tokio::test]
async fn unions() {
    let registry = registry().await;
    let both: Vec<i32> = load!(
        registry,
        users::table
            .filter(users::id.lt(3))
            .select(users::id)
            .union_all(comments::table.filter(comments::id.gt(1)).select(comments::stars))
            .positional_order_by(1)
    );
    assert_eq!(both, [1, 2, 3, 4]);
    let nested: Vec<i32> = load!(
        registry,
        users::table
            .select(users::id)
            .union(posts::table.select(posts::user_id))
            .union(comments::table.inner_join(posts::table).select(posts::id))
            .positional_order_by(1)
            .limit(2)
    );
    assert_eq!(nested, [1, 2]);
    let of_filtered: Vec<i32> = load!(
        registry,
        users::table
            .filter(users::id.eq_any(posts::table.select(posts::user_id)))
            .select(users::id)
            .union(comments::table.filter(comments::stars.gt(100)).select(comments::id))
            .positional_order_by(1)
    );
    assert_eq!(of_filtered, [1, 2]);
}

#[tokio::test]
async fn unions_of_boxed_queries() {
    let registry = registry().await;
    let both = || {
        let few = users::table.filter(users::id.lt(3)).select(users::id).into_boxed::<Db>();
        few.union(posts::table.select(posts::user_id).into_boxed::<Db>())
    };
    let mut found: Vec<i32> = load!(registry, both());
    found.sort_unstable();
    assert_eq!(found, [1, 2]);
}

#[tokio::test]
async fn rows_are_inserted_where_their_table_is() {
    let registry = registry().await;
    let one = User { id: 4, name: "main flo".to_owned() };
    let inserted = diesel::insert_into(users::table).values(&one).execute(&registry).await;
    assert_eq!(inserted.expect("a row"), 1);
    let two = [5, 6].map(|id| User { id, name: format!("main {id}") });
    let inserted = diesel::insert_into(users::table).values(&two).execute(&registry).await;
    assert_eq!(inserted.expect("two rows"), 2);
    let many: Vec<_> =
        (7..10).map(|id| (users::id.eq(id), users::name.eq(format!("main {id}")))).collect();
    let mut session = registry.session_for::<User>().await.expect("a session");
    let inserted = diesel::insert_into(users::table).values(&many).execute(&mut session).await;
    assert_eq!(inserted.expect("three rows"), 3);
    drop(session);
    let inserted = diesel::insert_into(users::table)
        .values(posts::table.filter(posts::id.eq(1)).select((posts::id + 9, posts::title)))
        .execute(&registry)
        .await;
    assert_eq!(inserted.expect("a row"), 1);
    let inserted = diesel::insert_into(users::table)
        .values(posts::table.filter(posts::id.eq(2)).select((posts::title, posts::id + 9)))
        .into_columns((users::name, users::id))
        .execute(&registry)
        .await;
    assert_eq!(inserted.expect("a row"), 1);
    let (main, archive) = names(&registry, "users").await;
    assert_eq!(
        main[3..],
        ["main flo", "main 5", "main 6", "main 7", "main 8", "main 9", "main one", "main two"]
    );
    assert_eq!(archive, ARCHIVE_USERS);
}

#[tokio::test]
async fn many_rows_are_inserted_together_or_not_at_all() {
    let registry = registry().await;
    let clash: Vec<_> =
        [8, 9, 1].map(|id| (users::id.eq(id), users::name.eq("main clash"))).into_iter().collect();
    let error = diesel::insert_into(users::table)
        .values(&clash)
        .execute(&registry)
        .await
        .expect_err("there is a row with that id");
    assert!(matches!(
        error.database_kind(),
        Some(diesel::result::DatabaseErrorKind::UniqueViolation)
    ));
    let none: Vec<User> = Vec::new();
    let inserted = diesel::insert_into(users::table).values(&none).execute(&registry).await;
    assert_eq!(inserted.expect("nothing to do"), 0);
    assert_eq!(names(&registry, "users").await.0.len(), 3);
}

#[tokio::test]
async fn rows_are_changed_where_their_table_is() {
    let registry = registry().await;
    let set = |name: &'static str| users::name.eq(name);
    let table = diesel::update(users::table).set(set("main all")).execute(&registry).await;
    assert_eq!(table.expect("rows"), 3);
    let filtered = diesel::update(users::table.filter(users::id.gt(1))).set(set("main two"));
    assert_eq!(filtered.execute(&registry).await.expect("rows"), 2);
    let by_subquery = users::table.filter(users::id.eq_any(posts::table.select(posts::user_id)));
    let by_subquery = diesel::update(by_subquery).set(set("main writer"));
    let mut session = registry.session_for::<User>().await.expect("a session");
    assert_eq!(by_subquery.execute(&mut session).await.expect("rows"), 2);
    drop(session);
    let eve = User { id: 3, name: "main eva".to_owned() };
    assert_eq!(diesel::update(&eve).set(&eve).execute(&registry).await.expect("a row"), 1);
    let boxed = diesel::update(users::table.find(1)).set(set("main boxed")).into_boxed();
    let boxed = boxed.filter(users::name.eq("main writer")).execute(&registry).await;
    assert_eq!(boxed.expect("a row"), 1);
    let bob = User { id: 2, name: "main rob".to_owned() };
    let saved: User = bob.save_changes(&registry).await.expect("a row");
    assert_eq!(saved, bob);
    let (main, archive) = names(&registry, "users").await;
    assert_eq!(main, ["main boxed", "main rob", "main eva"]);
    assert_eq!(archive, ARCHIVE_USERS);
    let mut session = registry.session_for::<User>().await.expect("a session");
    let saved: User = bob.save_changes(&mut session).await.expect("a row");
    assert_eq!(saved, bob);
}

#[tokio::test]
async fn rows_are_deleted_where_their_table_is() {
    let registry = registry().await;
    let one = diesel::delete(users::table.find(3)).execute(&registry).await;
    assert_eq!(one.expect("a row"), 1);
    let writers = users::table.filter(
        users::id.eq_any(posts::table.filter(posts::title.like("%three")).select(posts::user_id)),
    );
    let mut session = registry.session_for::<User>().await.expect("a session");
    let by_subquery = diesel::delete(writers).execute(&mut session).await;
    assert_eq!(by_subquery.expect("a row"), 1);
    drop(session);
    assert_eq!(names(&registry, "users").await.0, ["main ada"]);
    let rest = diesel::delete(User::table()).execute(&registry).await;
    assert_eq!(rest.expect("a row"), 1);
    let (main, archive) = names(&registry, "users").await;
    assert!(main.is_empty());
    assert_eq!(archive, ARCHIVE_USERS);
}

#[tokio::test]
async fn associations() {
    let registry = registry().await;
    let ada: User = users::table.find(1).first(&registry).await.expect("a row");
    let posts: Vec<Post> =
        load!(registry, Post::belonging_to(&ada).order(posts::id).select(Post::as_select()));
    assert_eq!(posts.iter().map(|post| &*post.title).collect::<Vec<_>>(), ["main one", "main two"]);
    let all: Vec<User> = load!(registry, User::table());
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn what_has_no_table_runs_on_sessions_or_where_it_is_told() {
    let registry = registry().await;
    let mut session = registry.session_for::<events::table>().await.expect("a session");
    let one: i32 = diesel::select(diesel::dsl::sql::<Integer>("1"))
        .get_result(&mut session)
        .await
        .expect("a row");
    assert_eq!(one, 1);
    sql_query("INSERT INTO events VALUES (103, 'archive more')")
        .execute(&mut session)
        .await
        .expect("a row");
    let any = || diesel::select(exists(events::table.filter(events::name.like("archive%"))));
    assert!(any().get_result::<bool>(&mut session).await.expect("a row"));
    drop(session);
    assert!(any().bound_to::<Archive>().get_result::<bool>(&registry).await.expect("a row"));
    let affected = sql_query("INSERT INTO users VALUES (9, 'main sql')").bound_to::<User>();
    assert_eq!(affected.execute(&registry).await.expect("a row"), 1);
    let (main, archive) = names(&registry, "users").await;
    assert_eq!((&*main[3], archive.len()), ("main sql", 3));
    let (main, archive) = names(&registry, "events").await;
    assert_eq!((main.len(), &*archive[2]), (2, "archive more"));
}

/// As it was written for diesel-async, but for the import at the top of the file.
async fn helper(connection: &mut Backend) -> QueryResult<usize> {
    sql_query("DELETE FROM comments").execute(connection).await
}

#[tokio::test]
async fn helpers_and_transactions_of_diesel_async_go_on() {
    let registry = registry().await;
    let mut session = registry.session_for::<User>().await.expect("a session");
    let error = session
        .transaction(async |session| {
            assert_eq!(helper(session).await?, 3);
            diesel::delete(posts::table).execute(&mut *session).await?;
            let left: i64 = posts::table.count().get_result(&mut *session).await?;
            assert_eq!(left, 0);
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        })
        .await
        .expect_err("as asked");
    assert_eq!(error, diesel::result::Error::RollbackTransaction);
    let left: i64 = comments::table.count().get_result(&mut session).await.expect("a row");
    assert_eq!(left, 3);
    // A bare connection takes anything, and nothing is checked.
    let there: i64 = events::table.count().get_result(&mut *session).await.expect("a row");
    assert_eq!(there, 2);
    let mut by_key = registry.session_by_key::<Backend>("archive").await.expect("a session");
    let first: String =
        users::table.select(users::name).order(users::id).first(&mut by_key).await.expect("a row");
    assert_eq!(first, "archive ada");
    let _: &Session<ByKey<Backend>> = &by_key;
}

#[tokio::test]
async fn a_stream_has_its_session_until_it_is_dropped() {
    let registry = registry().await;
    let in_use = || registry.status().engines.iter().map(|engine| engine.in_use).sum::<u32>();
    {
        let stream =
            users::table.order(users::id).load_stream::<User>(&registry).await.expect("rows");
        let mut stream = pin!(stream);
        assert_eq!(in_use(), 1);
        let first = stream.next().await.expect("a row").expect("no error");
        assert_eq!(first.name, "main ada");
        assert_eq!(in_use(), 1);
        let rest: Vec<User> = stream.try_collect().await.expect("rows");
        assert_eq!(rest.len(), 2);
    }
    eventually(|| in_use() == 0).await;
    let mut session = registry.session_for::<User>().await.expect("a session");
    let rows = users::table.select(users::id).load_stream::<i32>(&mut session).await.expect("rows");
    assert_eq!(rows.try_collect::<Vec<_>>().await.expect("rows").len(), 3);
    drop(session);
    let failed = users::table
        .select(diesel::dsl::sql::<Integer>("no_such_column"))
        .load_stream::<i32>(&registry)
        .await;
    assert!(matches!(failed.err(), Some(Error::Query(_))));
}

#[tokio::test]
async fn what_types_cannot_see_is_refused_before_it_is_sent() {
    let registry = registry().await;
    let refused = |error: Error| causes(&error).join(": ");
    let said = "a query for bind `default` has the table `events`, which belongs to bind `archive`";

    let from_select = diesel::insert_into(users::table)
        .values(events::table.select((events::id, events::name)))
        .execute(&registry)
        .await;
    assert!(refused(from_select.expect_err("another database")).ends_with(said));
    let columns = diesel::insert_into(users::table)
        .values(events::table.select((events::name, events::id)))
        .into_columns((users::name, users::id));
    assert!(
        refused(columns.execute(&registry).await.expect_err("another database")).ends_with(said)
    );

    let in_box = users::table
        .filter(users::name.eq_any(events::table.select(events::name)))
        .into_boxed::<Db>();
    let in_box = in_box.load::<User>(&registry).await;
    assert!(refused(in_box.expect_err("another database")).ends_with(said));

    let boxed_part = users::table
        .select(users::id)
        .union(events::table.select(events::id).into_boxed::<Db>())
        .bound_to::<User>()
        .load::<i32>(&registry)
        .await;
    assert!(refused(boxed_part.expect_err("another database")).ends_with(said));

    let in_select = users::table
        .select((users::id, events::table.select(max(events::id)).single_value()))
        .load::<(i32, Option<i32>)>(&registry)
        .await;
    assert!(refused(in_select.expect_err("another database")).ends_with(said));

    let in_set = diesel::update(users::table.find(1))
        .set(
            users::name.eq(events::table
                .select(events::name)
                .limit(1)
                .single_value()
                .assume_not_null()),
        )
        .execute(&registry)
        .await;
    assert!(refused(in_set.expect_err("another database")).ends_with(said));

    let mut session = registry.session_for::<User>().await.expect("a session");
    let on_session = diesel::insert_into(users::table)
        .values(events::table.select((events::id, events::name)))
        .execute(&mut session)
        .await;
    let error = on_session.expect_err("another database");
    assert!(
        matches!(&error, diesel::result::Error::QueryBuilderError(cause) if cause.to_string() == said)
    );

    // Rows go into any model that has a place for them, wherever that one is bound.
    let loaded: Vec<Archived> = users::table.find(1).load(&mut session).await.expect("a row");
    assert_eq!(loaded, [Archived { id: 1, name: "main ada".to_owned() }]);
    // Text is the writer's own.
    let quoted = if NAME == "mysql" { "DELETE FROM `events`" } else { "DELETE FROM \"events\"" };
    assert_eq!(sql_query(quoted).execute(&mut session).await.expect("its own table"), 2);
    drop(session);
    assert_eq!(names(&registry, "users").await.0.len(), 3, "nothing was sent");
}

#[tokio::test]
async fn a_query_beside_a_session_of_its_bind_is_warned_of() {
    let registry = registry().await;
    let log = captured_log();
    let warnings = |line: u32| {
        log.lines_with(&format!("queries.rs:{line}:"))
            .iter()
            .filter(|text| text.contains("WARN") && text.contains("has a session of the same bind"))
            .count()
    };
    let session = registry.session_for::<User>().await.expect("a session");
    let elsewhere = line!() + 1;
    let _: i64 = events::table.count().get_result(&registry).await.expect("a row");
    assert_eq!(warnings(elsewhere), 0);
    let here = line!() + 1;
    let _: i64 = users::table.count().get_result(&registry).await.expect("a row");
    // To find out takes longer than a query of a release build should.
    assert_eq!(warnings(here) > 0, cfg!(debug_assertions));
    drop(session);
    // What runs beside it is only a query.
    let mut rows = users::table.load_stream::<User>(&registry).await.expect("rows");
    let beside = line!() + 1;
    let _: i64 = users::table.count().get_result(&registry).await.expect("a row");
    assert_eq!(warnings(beside), 0);
    while rows.try_next().await.expect("no error").is_some() {}
}

async fn first_of<M>(registry: &Registry) -> String
where
    M: Bound + Send,
{
    registry.session_for::<M>().await.expect("a session").key().to_owned()
}

fn spawn_first_of<M>(registry: Registry) -> tokio::task::JoinHandle<String>
where
    M: Bound + Send + 'static,
{
    tokio::spawn(async move { first_of::<M>(&registry).await })
}

trait Reports {
    fn count(&self) -> impl Future<Output = Result<i64, Error>> + Send;
}

impl Reports for Registry {
    async fn count(&self) -> Result<i64, Error> {
        users::table.count().get_result(self).await
    }
}

#[tokio::test]
async fn futures_can_be_sent_to_other_tasks() {
    let registry = registry().await;
    let task = tokio::spawn({
        let registry = registry.clone();
        async move {
            let ids: Vec<i32> = users::table.select(users::id).load(&registry).await?;
            let union = users::table.select(users::id).union(posts::table.select(posts::id));
            let both: Vec<i32> = union.load(&registry).await?;
            let mut session = registry.session_for::<events::table>().await?;
            let count: i64 = events::table.count().get_result(&mut session).await?;
            let stream = users::table.select(users::id).load_stream::<i32>(&registry).await?;
            let streamed: Vec<i32> = stream.try_collect().await?;
            Ok::<_, Error>((ids.len(), both.len(), count, streamed.len()))
        }
    });
    assert_eq!(task.await.expect("no panic").expect("rows"), (3, 3, 2, 3));
    assert_eq!(registry.count().await.expect("a row"), 3);
    assert_eq!(first_of::<events::table>(&registry).await, "archive");
    assert_eq!(spawn_first_of::<User>(registry).await.expect("no panic"), "default");
}

#[tokio::test]
async fn a_query_knows_its_bind() {
    fn key<Q: Bound>(_: &Q) -> &'static str {
        <Q::Bind as registry_core::Bind>::KEY
    }
    assert_eq!(key(&users::table.inner_join(posts::table).select(users::id)), "default");
    assert_eq!(key(&events::table.into_boxed::<Db>()), "archive");
    assert_eq!(key(&diesel::delete(events::table.find(1))), "archive");
    assert_eq!(key(&diesel::update(events::table).set(events::name.eq("a"))), "archive");
    assert_eq!(key(&diesel::insert_into(users::table).values(users::id.eq(1))), "default");
    assert_eq!(key(&sql_query("SELECT 1").bound_to::<Archive>()), "archive");
}
