//! Queries that read: each clause of a `SELECT`, joins, subqueries and unions.

use diesel::associations::HasTable;
use diesel::dsl::{count_star, exists, max, not, sum};
use diesel::query_dsl::positional_order_dsl::PositionalOrderDsl;
use registry_core::{Error, OptionalExtension};

use super::*;

#[tokio::test]
async fn queries_reach_the_bind_of_their_table() {
    let registry = registry().await;
    let all: Vec<User> = load!(registry, users::table.order(users::id));
    assert_eq!(
        all.iter().map(|user| &user.name).collect::<Vec<_>>(),
        ["main ada", "main bob", "main eve"]
    );
    let other: Vec<String> =
        events::table.select(events::name).order(events::id).load(&registry).await.expect("rows");
    assert_eq!(other, ["archive start", "archive stop"]);
    // The turbofish takes one type, as with diesel-async.
    let ids =
        users::table.select(users::id).order(users::id).load::<i32>(&registry).await.expect("rows");
    assert_eq!(ids, [1, 2, 3]);
    let ids = users::table.select(users::id).get_results::<i32>(&registry).await.expect("rows");
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn every_clause_is_routed() {
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
async fn optional_maps_a_missing_row_to_none_on_every_executor() {
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
async fn boxed_queries_built_in_a_loop_are_routed() {
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
async fn joins_within_a_bind_are_routed() {
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
async fn aliases_and_self_joins_are_routed() {
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
async fn subqueries_within_a_bind_are_routed() {
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
async fn unions_within_a_bind_are_routed() {
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
async fn unions_of_boxed_queries_are_routed() {
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
async fn associations_are_routed() {
    let registry = registry().await;
    let ada: User = users::table.find(1).first(&registry).await.expect("a row");
    let posts: Vec<Post> =
        load!(registry, Post::belonging_to(&ada).order(posts::id).select(Post::as_select()));
    assert_eq!(posts.iter().map(|post| &*post.title).collect::<Vec<_>>(), ["main one", "main two"]);
    let all: Vec<User> = load!(registry, User::table());
    assert_eq!(all.len(), 3);
}
