//! Tables of the same names in two databases, in clauses that only some databases have.

use diesel::dsl::{Select, SingleValue, max};
use diesel::prelude::*;
use diesel::query_dsl::methods::FilterDsl;
use registry_core::query::HiddenTable;
use registry_core::{BindDsl, Bound, Error, Postgres, Registry, RunQueryDsl, Sqlite, bind_tables};

use crate::support;
use sqlite::near::words as sqlite_words;

mod postgres {
    pub(super) mod near {
        diesel::table! { words (id) { id -> Integer, word -> Text, } }
    }
    pub(super) mod far {
        diesel::table! { words (id) { id -> Integer, word -> Text, } }
    }
    use far::words as far_words;
    use near::words;
    diesel::allow_tables_to_appear_in_same_query!(words, far_words);
}

mod sqlite {
    pub(super) mod near {
        diesel::table! { words (id) { id -> Integer, word -> Text, } }
    }
    pub(super) mod far {
        diesel::table! { words (id) { id -> Integer, word -> Text, } }
    }
    use far::words as far_words;
    use near::words;
    diesel::allow_tables_to_appear_in_same_query!(words, far_words);
}

bind_tables!(db = "one", connection = Postgres; postgres::near::words);
bind_tables!(db = "far_one", connection = Postgres; postgres::far::words);
bind_tables!(db = "three", connection = Sqlite; sqlite::near::words);
bind_tables!(db = "far_three", connection = Sqlite; sqlite::far::words);

/// A registry with two databases of each backend, all with the same tables and rows.
async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("one", support::postgres().database("words"))
        .bind("far_one", support::postgres().database("far_words"))
        .bind("three", support::sqlite_file())
        .bind("far_three", support::sqlite_file())
        .build()
        .expect("good settings");
    for sql in [
        "CREATE TABLE words (id INTEGER PRIMARY KEY NOT NULL, word VARCHAR(50) NOT NULL)",
        "INSERT INTO words VALUES (1, 'a')",
    ] {
        let sql = || diesel::sql_query(sql);
        sql().bound_to::<postgres::near::words::table>().execute(&registry).await.expect("done");
        sql().bound_to::<postgres::far::words::table>().execute(&registry).await.expect("done");
        sql().bound_to::<sqlite::near::words::table>().execute(&registry).await.expect("done");
        sql().bound_to::<sqlite::far::words::table>().execute(&registry).await.expect("done");
    }
    registry
}

/// The bind of the table that a query was refused for.
fn other(error: &Error) -> String {
    let Error::Query(query) = error else { panic!("not refused, but {error:?}") };
    let diesel::result::Error::QueryBuilderError(cause) = query.as_diesel() else {
        panic!("not refused, but {error:?}");
    };
    cause.downcast_ref::<HiddenTable>().expect("a table").other.to_string()
}

macro_rules! refused {
    ($registry:expr, $other:literal; $($method:ident$(::<$row:ty>)?($query:expr);)*) => {$({
        type Own = <words::table as Bound>::Bind;
        let query = $query.bound_to::<Own>();
        let error = query.$method$(::<$row>)?(&$registry).await.expect_err(stringify!($query));
        assert_eq!(other(&error), $other, stringify!($query));
    })*};
}

macro_rules! far {
    ($schema:ident max) => {
        $schema::far::words::table.select(max($schema::far::words::id)).single_value()
    };
    ($schema:ident word) => {
        $schema::far::words::table
            .select($schema::far::words::word)
            .limit(1)
            .single_value()
            .assume_not_null()
    };
}

/// Tests for PostgreSQL and SQLite.
macro_rules! returning_and_upsert {
    ($($name:ident: $schema:ident, $other:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            use $schema::near::words;

            let registry = registry().await;
            let row = (words::id.eq(1), words::word.eq("b"));
            let far_row = (words::id.eq(1), words::word.eq(far!($schema word)));
            refused! { registry, $other;
                get_result::<(i32, Option<i32>)>(diesel::insert_into(words::table)
                    .values(row).returning((words::id, far!($schema max))));
                get_results::<Option<i32>>(diesel::update(words::table)
                    .set(words::word.eq("c")).returning(far!($schema max)));
                load::<Option<i32>>(diesel::delete(words::table).returning(far!($schema max)));
                execute(diesel::insert_into(words::table).values(row)
                    .on_conflict(words::id).do_update().set(words::word.eq(far!($schema word))));
                execute(diesel::insert_into(words::table).values(row)
                    .on_conflict(words::id).do_update().set((
                        words::id.eq(2), words::word.eq(far!($schema word)))));
                execute(diesel::insert_into(words::table).values(far_row)
                    .on_conflict(words::id).do_nothing());
                execute(diesel::insert_into(words::table).values(far_row).on_conflict_do_nothing());
                execute(FilterDsl::filter(
                    diesel::insert_into(words::table).values(row)
                        .on_conflict(words::id).do_update().set(words::word.eq("c")),
                    words::word.eq(far!($schema word))));
                execute(diesel::insert_into(words::table)
                    .values($schema::far::words::table.select((
                        $schema::far::words::id, $schema::far::words::word)).into_boxed())
                    .on_conflict(words::id).do_nothing());
                load::<Option<i32>>(words::table.select(max(words::id))
                    .intersect(words::table.select(far!($schema max))));
                load::<String>(words::table.select(words::word)
                    .except(words::table.select(far!($schema word))));
            }
            let words: Vec<(i32, String)> = words::table.load(&registry).await.expect("rows");
            assert_eq!(words, [(1, "a".to_owned())]);
        }
    )*};
}

returning_and_upsert! {
    foreign_tables_in_returning_and_upserts_are_refused_on_postgres: postgres, "far_one";
    foreign_tables_in_returning_and_upserts_are_refused_on_sqlite: sqlite, "far_three";
}

#[tokio::test]
async fn foreign_tables_in_postgres_clauses_are_refused() {
    use diesel::dsl::{OnlyDsl, TablesampleDsl, array};
    use diesel::sql_types::{Integer, Nullable};
    use postgres::far::words as far_words;
    use postgres::near::words;

    let registry = registry().await;
    let far_word = || far!(postgres word);
    refused! { registry, "far_one";
        load::<String>(words::table.distinct_on(far_word()).select(words::word));
        load::<Vec<Option<i32>>>(words::table
            .select(array::<Nullable<Integer>, _>((words::id.nullable(), far!(postgres max)))));
        load::<Vec<i32>>(words::table.select(array(far_words::table.select(far_words::id))));
        load::<Option<i32>>(words::table.only().select(far!(postgres max)));
        load::<Option<i32>>(words::table.tablesample_bernoulli(100).select(far!(postgres max)));
        load::<bool>(words::table.select(words::word.ilike(far_word())));
        load::<bool>(words::table.select(words::word.is_distinct_from(far_word())));
        execute(diesel::insert_into(words::table)
            .values(vec![(words::id.eq(2), words::word.eq(far_word()))]));
    }
    let words: Vec<(i32, String)> = words::table.load(&registry).await.expect("rows");
    assert_eq!(words, [(1, "a".to_owned())]);
}

#[tokio::test]
async fn foreign_tables_in_any_inserted_row_are_refused_on_sqlite() {
    use sqlite::near::words;

    let registry = registry().await;
    let row = |id| (words::id.eq(id), words::word.eq(far!(sqlite word)));
    let error = diesel::insert_into(words::table)
        .values(vec![row(2), row(3)])
        .execute(&registry)
        .await
        .expect_err("two databases");
    assert_eq!(other(&error), "far_three");
    let error = diesel::replace_into(words::table)
        .values(row(1))
        .execute(&registry)
        .await
        .expect_err("two databases");
    assert_eq!(other(&error), "far_three");
    let rows =
        || vec![(words::id.eq(1), words::word.eq("b")), (words::id.eq(2), words::word.eq("c"))];
    let error = diesel::insert_into(words::table)
        .values(rows())
        .on_conflict(words::id)
        .do_update()
        .set(words::word.eq(far!(sqlite word)))
        .execute(&registry)
        .await
        .expect_err("two databases");
    assert_eq!(other(&error), "far_three");
    let words: Vec<(i32, String)> = words::table.load(&registry).await.expect("rows");
    assert_eq!(words, [(1, "a".to_owned())]);
}

/// A model with a `select_expression` on a table of the other database.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = sqlite_words)]
struct WithFar {
    #[expect(dead_code, reason = "it is never loaded")]
    id: i32,
    #[diesel(select_expression = sqlite::far::words::table.select(max(sqlite::far::words::id)).single_value())]
    #[diesel(select_expression_type = SingleValue<Select<sqlite::far::words::table, diesel::helper_types::max<sqlite::far::words::id>>>)]
    #[expect(dead_code, reason = "it is never loaded")]
    top: Option<i32>,
}

#[tokio::test]
async fn foreign_tables_in_a_returning_model_are_refused() {
    use sqlite::near::words;

    let registry = registry().await;
    let row = || (words::id.eq(2), words::word.eq("b"));
    let insert = || diesel::insert_into(words::table).values(row());
    // Detected by its name, as the type does not show the table.
    let error = insert()
        .returning(WithFar::as_returning())
        .get_result::<WithFar>(&registry)
        .await
        .expect_err("two databases");
    assert_ne!(other(&error), "three");
    let error = insert()
        .on_conflict(words::id)
        .do_update()
        .set(words::word.eq("c"))
        .returning(WithFar::as_returning())
        .get_result::<WithFar>(&registry)
        .await
        .expect_err("two databases");
    assert_ne!(other(&error), "three");
    let error = diesel::update(words::table)
        .set(words::word.eq("c"))
        .returning(WithFar::as_returning())
        .get_result::<WithFar>(&registry)
        .await
        .expect_err("two databases");
    assert_ne!(other(&error), "three");
    let words: Vec<(i32, String)> = words::table.load(&registry).await.expect("rows");
    assert_eq!(words, [(1, "a".to_owned())]);
}
