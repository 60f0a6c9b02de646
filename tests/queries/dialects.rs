//! Clauses that only some databases have, each tested on those.

use diesel::prelude::*;
use diesel::query_dsl::positional_order_dsl::PositionalOrderDsl;
use diesel::sql_types::{Array, Integer, Text};
use diesel::upsert::excluded;
use registry_core::query::{QueryOf, Runs};
use registry_core::{
    AnyExecutor, BindDsl, Bound, Mysql, Postgres, Registry, RunQueryDsl, Sqlite, bind_tables,
};

use crate::support;

mod schema {
    pub(super) mod postgres {
        diesel::table! { words (id) { id -> Integer, word -> Text, } }
        diesel::table! { others (id) { id -> Integer, word -> Text, } }
        diesel::allow_tables_to_appear_in_same_query!(words, others);
    }
    pub(super) mod mysql {
        diesel::table! { words (id) { id -> Integer, word -> Text, } }
        diesel::table! { others (id) { id -> Integer, word -> Text, } }
        diesel::allow_tables_to_appear_in_same_query!(words, others);
    }
    pub(super) mod sqlite {
        diesel::table! { words (id) { id -> Integer, word -> Text, } }
        diesel::table! { others (id) { id -> Integer, word -> Text, } }
        diesel::allow_tables_to_appear_in_same_query!(words, others);
    }
}

bind_tables!(db = "one", connection = Postgres; schema::postgres::words, schema::postgres::others);
bind_tables!(db = "two", connection = Mysql; schema::mysql::words, schema::mysql::others);
bind_tables!(db = "three", connection = Sqlite; schema::sqlite::words, schema::sqlite::others);

/// A registry with a database of each backend. They have the same tables with different rows.
async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("one", support::postgres().database("dialects"))
        .bind("two", support::mariadb().database("dialects"))
        .bind("three", support::sqlite_file())
        .build()
        .expect("good settings");
    let create = |table: &str| {
        format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY NOT NULL, word VARCHAR(50) NOT NULL)")
    };
    let fill = |table: &str, place: &str| {
        format!("INSERT INTO {table} VALUES (1, '{place} a'), (2, '{place} b'), (3, '{place} c')")
    };
    for table in ["words", "others"] {
        for (sql, place) in [(create(table), None), (String::new(), Some(table))] {
            let sql = |name| place.map_or(sql.clone(), |table| fill(table, name));
            let (one, two, three) = (sql("one"), sql("two"), sql("three"));
            diesel::sql_query(one)
                .bound_to::<schema::postgres::words::table>()
                .execute(&registry)
                .await
                .expect("a table");
            diesel::sql_query(two)
                .bound_to::<schema::mysql::words::table>()
                .execute(&registry)
                .await
                .expect("a table");
            diesel::sql_query(three)
                .bound_to::<schema::sqlite::words::table>()
                .execute(&registry)
                .await
                .expect("a table");
        }
    }
    registry
}

/// Tests for PostgreSQL and SQLite.
macro_rules! returning_and_upsert {
    ($($name:ident: $schema:ident, $place:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            use schema::$schema::{others, words};

            let registry = registry().await;
            let row = (words::id.eq(4), words::word.eq(concat!($place, " d")));
            let id: i32 = diesel::insert_into(words::table)
                .values(row)
                .returning(words::id)
                .get_result(&registry)
                .await
                .expect("a row");
            assert_eq!(id, 4);
            let row = (words::id.eq(4), words::word.eq(concat!($place, " e")));
            let ignored = diesel::insert_into(words::table)
                .values(row)
                .on_conflict_do_nothing()
                .execute(&registry)
                .await;
            assert_eq!(ignored.expect("no error"), 0);
            let word: String = diesel::insert_into(words::table)
                .values(row)
                .on_conflict(words::id)
                .do_update()
                .set(words::word.eq(excluded(words::word)))
                .returning(words::word)
                .get_result(&registry)
                .await
                .expect("a row");
            assert_eq!(word, concat!($place, " e"));
            let words: Vec<String> = diesel::update(words::table.filter(words::id.lt(3)))
                .set(words::word.eq(concat!($place, " x")))
                .returning(words::word)
                .get_results(&registry)
                .await
                .expect("rows");
            assert_eq!(words, [concat!($place, " x"); 2]);
            let gone: (i32, String) = diesel::delete(words::table.find(4))
                .get_result(&registry)
                .await
                .expect("a row");
            assert_eq!(gone.0, 4);
            let common = words::table
                .select(words::word)
                .intersect(others::table.select(others::word))
                .load::<String>(&registry)
                .await
                .expect("rows");
            assert_eq!(common, [concat!($place, " c")]);
            let gone: Vec<String> = others::table
                .select(others::word)
                .except(words::table.select(words::word))
                .positional_order_by(1)
                .load(&registry)
                .await
                .expect("rows");
            assert_eq!(gone, [concat!($place, " a"), concat!($place, " b")]);
        }
    )*};
}

returning_and_upsert! {
    postgres_returns_rows_and_resolves_conflicts: postgres, "one";
    sqlite_returns_rows_and_resolves_conflicts: sqlite, "three";
}

/// Tests for MySQL and SQLite.
macro_rules! ignore_and_replace {
    ($($name:ident: $schema:ident, $place:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            use schema::$schema::words;

            let registry = registry().await;
            let row = (words::id.eq(3), words::word.eq(concat!($place, " z")));
            let ignored =
                diesel::insert_or_ignore_into(words::table).values(row).execute(&registry).await;
            assert_eq!(ignored.expect("no error"), 0);
            diesel::replace_into(words::table).values(row).execute(&registry).await.expect("a row");
            let words: Vec<String> =
                words::table.select(words::word).order(words::id).load(&registry).await.expect("rows");
            assert_eq!(words[1..], [concat!($place, " b"), concat!($place, " z")]);
        }
    )*};
}

ignore_and_replace! {
    mysql_ignores_and_replaces: mysql, "two";
    sqlite_ignores_and_replaces: sqlite, "three";
}

/// Tests for PostgreSQL and MySQL.
macro_rules! locks {
    ($($name:ident: $schema:ident, $place:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            use schema::$schema::{others, words};

            let registry = registry().await;
            let told = || words::table.select(words::id).for_update().bound_to::<words::table>();
            let lost = told().load::<i32>(&registry).await.expect_err("no transaction");
            assert!(format!("{lost:?}").contains("LostRowLock"), "{lost:?}");
            let in_subquery =
                words::table.filter(words::id.eq_any(others::table.select(others::id).for_update()));
            let rows: Vec<i32> = in_subquery
                .select(words::id)
                .bound_to::<words::table>()
                .load(&registry)
                .await
                .expect("rows");
            assert_eq!(rows.len(), 3);
            let mut work = registry.begin();
            assert_eq!(told().load::<i32>(&mut work).await.expect("rows").len(), 3);
            work.rollback().await.expect("nothing to undo");
            let mut work = registry.begin();
            let mut session = registry.session_for::<words::table>().await.expect("a session");
            let locked: Vec<String> = words::table
                .filter(words::id.eq(1))
                .select(words::word)
                .for_update()
                .skip_locked()
                .load(&mut work)
                .await
                .expect("rows");
            assert_eq!(locked, [concat!($place, " a")]);
            let others: Vec<i32> = words::table
                .filter(words::id.lt(3))
                .select(words::id)
                .for_update()
                .skip_locked()
                .load(&mut session)
                .await
                .expect("rows");
            assert_eq!(others, [2]);
            work.rollback().await.expect("nothing to undo");

            // On any executor the compiler does not know whether the lock is kept.
            let locks = || words::table.select(words::id).for_update();
            let tenant = registry.tenant("acme").expect("a name");
            for mut on in [AnyExecutor::from(&registry), AnyExecutor::from(&tenant)] {
                let lost = locks().load::<i32>(&mut on).await.expect_err("no transaction");
                assert!(format!("{lost:?}").contains("LostRowLock"), "{lost:?}");
                let parts = words::table.select(words::id).union_all(locks());
                let lost = parts.load::<i32>(&mut on).await.expect_err("no transaction");
                assert!(format!("{lost:?}").contains("LostRowLock"), "{lost:?}");
                let skipping = locks().skip_locked().first::<i32>(&mut on).await;
                assert!(format!("{skipping:?}").contains("LostRowLock"), "{skipping:?}");
                let in_subquery =
                    words::table.filter(words::id.eq_any(others::table.select(others::id).for_update()));
                let rows: Vec<i32> =
                    in_subquery.select(words::id).load(&mut on).await.expect("rows");
                assert_eq!(rows.len(), 3);
            }
            let mut work = registry.begin();
            let mut on = AnyExecutor::from(&mut work);
            assert_eq!(locks().load::<i32>(&mut on).await.expect("rows").len(), 3);
            // The lock is really kept.
            let free = locks().skip_locked().load::<i32>(&mut session).await;
            assert_eq!(free, Ok(vec![]));
            work.rollback().await.expect("nothing to undo");
            let mut on = AnyExecutor::from(&mut session);
            assert_eq!(locks().load::<i32>(&mut on).await.expect("rows").len(), 3);
        }
    )*};
}

#[tokio::test]
async fn locks_of_generic_code_are_refused_where_they_would_be_lost() {
    use schema::postgres::words;

    async fn ids<E, Q>(query: Q, on: E) -> Result<Vec<i32>, E::Error>
    where
        Q: QueryOf<<words::table as Bound>::Bind, i32>,
        E: Runs<<words::table as Bound>::Bind>,
    {
        query.load_on(on).await
    }

    let registry = registry().await;
    let locks = || words::table.select(words::id).for_update();
    let lost = ids(locks(), &registry).await.expect_err("no transaction");
    assert!(format!("{lost:?}").contains("LostRowLock"), "{lost:?}");
    let mut work = registry.begin();
    assert_eq!(ids(locks(), &mut work).await.expect("rows").len(), 3);
    work.rollback().await.expect("nothing to undo");
}

locks! {
    postgres_locks_rows: postgres, "one";
    mysql_locks_rows: mysql, "two";
}

#[tokio::test]
async fn postgres_routes_only_and_tablesample() {
    use diesel::dsl::count_star;
    use diesel::dsl::{OnlyDsl, TablesampleDsl};
    use schema::postgres::words;

    let registry = registry().await;
    let first: String = words::table
        .only()
        .select(words::word)
        .order(words::id)
        .first(&registry)
        .await
        .expect("a row");
    assert_eq!(first, "one a");
    let filtered: Vec<i32> = words::table
        .only()
        .filter(words::id.gt(1))
        .select(words::id)
        .order(words::id)
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(filtered, [2, 3]);
    let sample: i64 = words::table
        .tablesample_bernoulli(100)
        .select(count_star())
        .get_result(&registry)
        .await
        .expect("a row");
    assert_eq!(sample, 3);
    let distinct: Vec<String> = words::table
        .distinct_on(words::word)
        .order(words::word)
        .select(words::word)
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(distinct.len(), 3);
}

#[tokio::test]
async fn postgres_returns_many_inserted_rows() {
    use schema::postgres::words;

    let registry = registry().await;
    let rows: Vec<_> = (7..9).map(|id| (words::id.eq(id), words::word.eq("one new"))).collect();
    let ids: Vec<i32> = diesel::insert_into(words::table)
        .values(&rows)
        .returning(words::id)
        .get_results(&registry)
        .await
        .expect("rows");
    assert_eq!(ids, [7, 8]);
}

/// One bind variable for each column, however many rows there are: what the guide recommends in place of `COPY`.
#[tokio::test]
async fn many_rows_are_inserted_from_arrays_on_postgres() {
    use schema::postgres::words;

    let registry = registry().await;
    let ids: Vec<i32> = (100..100_100).collect();
    let texts: Vec<String> = ids.iter().map(|id| format!("word {id}")).collect();
    let insert = diesel::sql_query("INSERT INTO words (id, word) SELECT * FROM unnest($1, $2)")
        .bind::<Array<Integer>, _>(&ids)
        .bind::<Array<Text>, _>(&texts)
        .bound_to::<words::table>();
    assert_eq!(insert.execute(&registry).await.expect("rows"), ids.len());
    let last: String =
        words::table.find(100_099).select(words::word).first(&registry).await.expect("a row");
    assert_eq!(last, "word 100099");
}
