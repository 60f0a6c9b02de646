//! Queries that write: `INSERT`, `UPDATE` and `DELETE`.

use diesel::associations::HasTable;
use registry_core::SaveChangesDsl;

use super::*;

#[tokio::test]
async fn inserts_reach_the_bind_of_their_table() {
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
async fn inserts_of_many_rows_are_atomic() {
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
async fn updates_reach_the_bind_of_their_table() {
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
async fn deletes_reach_the_bind_of_their_table() {
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
