use std::any::type_name;

use diesel::dsl::{exists, max, sql};
use diesel::prelude::*;
use diesel::query_builder::AsQuery;
use diesel::sql_types::{Bool, Integer};
use diesel::sqlite::Sqlite;

use super::super::source_counts::{SourceCount, count_sources};
use super::TypeCoverage::{Complete, NeedsModelSql, Partial};
use super::*;
use crate::settings::BindKey;

mod near {
    diesel::table! { words (id) { id -> Integer, word -> Text, } }
    diesel::table! { other (id) { id -> Integer, } }
    diesel::allow_tables_to_appear_in_same_query!(words, other);
}

mod far {
    diesel::table! { words (id) { id -> Integer, word -> Text, } }
}

use far::words as far_words;
use near::{other, words};

diesel::allow_tables_to_appear_in_same_query!(words, far_words);

fn table<T>(key: &str) -> BoundTable {
    let path = type_name::<T>().strip_suffix("::table").expect("a table");
    BoundTable { path, name: "words".to_owned(), key: BindKey::new(key).expect("a key") }
}

fn bound_tables() -> BoundTables {
    BoundTables::new(vec![table::<words::table>("near"), table::<far_words::table>("far")])
}

/// The coverage of a query for `near`. The error is the key of another bind, if one of the query's tables belongs to it.
fn coverage_of<Q>(bound_tables: &BoundTables, _: &Q) -> Result<TypeCoverage, String> {
    inspect_type(bound_tables, type_name::<Q>(), "near", false)
        .map_err(|table| table.key.to_string())
}

/// The coverage of a query for `near`, where the table `T` belongs to the other bind.
fn coverage_with<T, Q>(query: &Q) -> Result<TypeCoverage, String> {
    let bound_tables = BoundTables::new(vec![table::<words::table>("near"), table::<T>("far")]);
    coverage_of(&bound_tables, query)
}

fn far() -> Result<TypeCoverage, String> {
    Err("far".to_owned())
}

#[test]
fn the_type_of_a_query_covers_it() {
    let bound_tables = bound_tables();
    assert_eq!(coverage_of(&bound_tables, &words::table), Ok(Complete));
    let query = words::table
        .filter(words::id.gt(1).and(words::word.eq_any(vec!["a"]).or(words::word.like("b"))))
        .order((words::id.desc(), words::word))
        .select((words::id, words::word, sql::<Bool>("1").bind::<Integer, _>(1)))
        .limit(1)
        .offset(2)
        .distinct();
    assert_eq!(coverage_of(&bound_tables, &query), Ok(Complete));
    let query =
        diesel::insert_into(words::table).values(vec![(words::id.eq(1), words::word.eq("a"))]);
    assert_eq!(coverage_of(&bound_tables, &query), Ok(Complete));
    let query =
        diesel::update(words::table.find(1)).set((words::id.eq(1), Some(words::word.eq("a"))));
    assert_eq!(coverage_of(&bound_tables, &query), Ok(Complete));
    assert_eq!(coverage_of(&bound_tables, &diesel::delete(words::table.find(1))), Ok(Complete));
    let query =
        words::table.group_by(words::word).select(max(words::id)).having(max(words::id).gt(1));
    assert_eq!(coverage_of(&bound_tables, &query), Ok(Complete));
    let query = words::table.select(words::id).union(words::table.select(words::id + 1));
    assert_eq!(coverage_of(&bound_tables, &query), Ok(Complete));
    assert_eq!(
        coverage_of(&bound_tables, &diesel::sql_query("").bind::<Integer, _>(1)),
        Ok(Complete)
    );
    assert_eq!(
        coverage_of(&bound_tables, &diesel::select(exists(words::table.select(words::id)))),
        Ok(Complete)
    );
}

#[test]
fn functions_of_the_program_are_covered_by_their_arguments() {
    diesel::define_sql_function! { fn abs(number: Integer) -> Integer; }
    let bound_tables = bound_tables();
    assert_eq!(coverage_of(&bound_tables, &words::table.select(abs(words::id))), Ok(Complete));
    assert_eq!(coverage_of(&bound_tables, &(words::id, abs(abs(far::words::id)))), far());
    let condition: Box<dyn BoxableExpression<words::table, Sqlite, SqlType = Integer>> =
        Box::new(words::id);
    assert_eq!(coverage_of(&bound_tables, &abs(condition)), Ok(Partial));
}

#[test]
fn types_of_values_are_ignored() {
    let bound_tables = bound_tables();
    // A type of the program, where the SQL has only a placeholder.
    type Value = (far::words::table, Box<dyn Fn() -> far::words::columns::id>);
    type Bound = diesel::internal::derives::as_expression::Bound<Integer, Value>;
    let query = format!("({}, {})", type_name::<words::id>(), type_name::<Bound>());
    assert_eq!(inspect_type(&bound_tables, &query, "near", false).ok(), Some(Complete));
    use crate::BindDsl;
    type Own = crate::Db<crate::Sqlite, crate::Name<'f', 'a', 'r'>>;
    assert_eq!(coverage_of(&bound_tables, &words::table.bound_to::<Own>()), Ok(Complete));
    assert_eq!(
        coverage_of(&bound_tables, &words::table.bound_to::<Own>().as_query()),
        Ok(Complete)
    );
    assert_eq!(coverage_of(&bound_tables, &far::words::table.bound_to::<Own>().as_query()), far());
}

#[test]
fn a_table_of_another_bind_is_found_at_any_depth() {
    let bound_tables = bound_tables();
    assert_eq!(coverage_of(&bound_tables, &far::words::table), far());
    assert_eq!(coverage_of(&bound_tables, &far::words::star), far());
    assert_eq!(coverage_of(&bound_tables, &far::words::id), far());
    assert_eq!(coverage_of(&bound_tables, &(1, Some([far::words::id]))), far());
    let deep = far::words::table.select(max(far::words::id)).single_value();
    assert_eq!(coverage_of(&bound_tables, &words::table.select((words::id, deep))), far());
    // In a type that is no box, though it is not Diesel's; and beside a box.
    struct Own<T>(T);
    assert_eq!(coverage_of(&bound_tables, &Own(far::words::table)), far());
    let boxed = words::table.select(words::id).into_boxed::<Sqlite>();
    assert_eq!(coverage_of(&bound_tables, &(boxed, far::words::id)), far());
}

#[test]
fn boxes_and_types_of_the_program_are_not_covered() {
    let bound_tables = bound_tables();
    assert_eq!(coverage_of(&bound_tables, &words::table.into_boxed::<Sqlite>()), Ok(Partial));
    assert_eq!(
        coverage_of(&bound_tables, &diesel::delete(words::table).into_boxed::<Sqlite>()),
        Ok(Partial)
    );
    type Condition = Box<dyn BoxableExpression<words::table, Sqlite, SqlType = Bool>>;
    let condition: Condition = Box::new(words::id.gt(1));
    assert_eq!(coverage_of(&bound_tables, &words::table.filter(condition)), Ok(Partial));
    struct Own;
    assert_eq!(coverage_of(&bound_tables, &(words::id, Own)), Ok(Partial));
    assert_eq!(coverage_of(&bound_tables, &(words::id, || 1)), Ok(Partial));
    assert_eq!(
        coverage_of(&bound_tables, &(words::id, coverage_of::<i32> as fn(&BoundTables, &i32) -> _)),
        Ok(Partial)
    );
    // Boxed values of raw SQL are values.
    let text = diesel::sql_query("").into_boxed::<Sqlite>().bind::<Integer, _>(1);
    assert_eq!(coverage_of(&bound_tables, &text), Ok(Complete), "{}", type_name_of(&text));
}

#[test]
fn sql_text_is_covered_except_in_a_query_with_bound_to() {
    use diesel::dsl::sql_query;

    use crate::BindDsl;

    type Own = crate::Db<crate::Sqlite, crate::Name<'n', 'e', 'a', 'r'>>;
    let bound_tables = bound_tables();
    let inspect =
        |type_name, checks_text| inspect_type(&bound_tables, type_name, "near", checks_text).ok();
    let plain = type_name_of(&words::table.bound_to::<Own>().as_query());
    assert_eq!(inspect(plain, true), Some(Complete));
    let literal = words::table.filter(sql::<Bool>("1")).bound_to::<Own>().as_query();
    let query = sql_query("").bind::<Integer, _>(1).bound_to::<Own>().as_query();
    let boxed = sql_query("").into_boxed::<Sqlite>().bound_to::<Own>().as_query();
    for name in [type_name_of(&literal), type_name_of(&query), type_name_of(&boxed)] {
        assert_eq!(inspect(name, false), Some(Complete), "{name}");
        assert_eq!(inspect(name, true), Some(Partial), "{name}");
        assert!(may_nest_tables(name), "{name}");
    }
    // A box can have a table of the other bind, and Diesel nests no table in itself.
    assert!(!may_nest_tables(plain));
    let boxed = || words::table.into_boxed::<Sqlite>();
    assert!(!may_nest_tables(type_name_of(&boxed().bound_to::<Own>().as_query())));
    let both = words::table.filter(sql::<Bool>("1").and(exists(boxed()))).bound_to::<Own>();
    assert!(!may_nest_tables(type_name_of(&both.as_query())));
    struct OfTheProgram;
    assert!(may_nest_tables(type_name_of(&OfTheProgram.bound_to::<Own>())));
    let select = words::table.select(words::id);
    assert!(!may_nest_tables(type_name_of(&(&select).bound_to::<Own>())));
}

#[test]
fn a_model_selects_the_same_in_every_query_of_a_type() {
    #[derive(Queryable, Selectable)]
    #[diesel(table_name = words)]
    #[expect(dead_code, reason = "it is never loaded")]
    struct Word {
        id: i32,
    }
    let bound_tables = bound_tables();
    let select = <Word as SelectableHelper<Sqlite>>::as_select();
    assert_eq!(coverage_of(&bound_tables, &words::table.select(select)), Ok(NeedsModelSql));
    assert_eq!(coverage_of(&bound_tables, &Some(select)), Ok(Partial));
}

#[test]
fn an_alias_is_covered_by_its_columns() {
    let bound_tables = bound_tables();
    let near = diesel::alias!(words as near);
    assert_eq!(coverage_of(&bound_tables, &near.select(near.field(words::id))), Ok(Complete));
    assert_eq!(coverage_of(&bound_tables, &near.count()), Ok(Partial));
    let far_alias = diesel::alias!(far_words as far_alias);
    assert_eq!(
        coverage_of(&bound_tables, &far_alias.select(far_alias.field(far_words::id))),
        far()
    );
    assert_eq!(coverage_of(&bound_tables, &far_alias.count()), Ok(Partial));
}

#[test]
fn tables_are_found_wherever_they_are_declared() {
    diesel::table! { r#type (id) { id -> Integer, } }
    assert_eq!(coverage_with::<r#type::table, _>(&r#type::table.select(r#type::id)), far());
    assert_eq!(coverage_with::<r#type::table, _>(&words::table.select(words::id)), Ok(Complete));

    let in_closure = || {
        diesel::table! { inner (id) { id -> Integer, } }
        coverage_with::<inner::table, _>(&(words::id, inner::id))
    };
    assert_eq!(in_closure(), far());

    trait Finds {
        fn finds(&self) -> Result<TypeCoverage, String>;
    }
    struct Own<T>(T);
    impl<T> Own<T> {
        fn finds_in_own(&self) -> Result<TypeCoverage, String> {
            diesel::table! { inner (id) { id -> Integer, } }
            coverage_with::<inner::table, _>(&(words::id, inner::table.select(inner::id)))
        }
    }
    impl<T> Finds for Own<(T, Vec<T>)> {
        fn finds(&self) -> Result<TypeCoverage, String> {
            diesel::table! { inner (id) { id -> Integer, } }
            assert_eq!(coverage_with::<inner::table, _>(&words::id), Ok(Complete));
            coverage_with::<inner::table, _>(&(words::id, inner::id))
        }
    }
    assert_eq!(Own(1).finds_in_own(), far());
    assert_eq!(Own((1, vec![1])).finds(), far());

    // One path is the beginning of another, and one is the end of another.
    let bound_tables = BoundTables::new(vec![
        BoundTable { path: "app::words", name: String::new(), key: BindKey::DEFAULT },
        BoundTable {
            path: "app::words_of",
            name: String::new(),
            key: BindKey::new("far").expect("a key"),
        },
    ]);
    let is_far = |name| inspect_type(&bound_tables, name, "default", false).is_err();
    assert!(!is_far("(app::words::table, my_app::words_of::table, app::words::words_of::table)"));
    assert!(is_far("(app::words::table, app::words_of::columns::table)"));
}

#[test]
fn tables_of_equal_path_are_distinguished_by_name() {
    let two = |one: &str, other: &str| {
        BoundTables::new(vec![table::<words::table>(one), table::<words::table>(other)])
    };
    assert_eq!(coverage_of(&two("near", "far"), &words::id), Ok(Partial));
    assert_eq!(coverage_of(&two("near", "near"), &words::id), Ok(Complete));
    assert_eq!(coverage_of(&two("far", "far"), &words::id), far());
}

#[test]
fn sources_are_counted() {
    let path = bound_tables().named("words").next().expect("a table").path;
    let count = |query: &str| {
        let SourceCount { set, elsewhere } = count_sources(query, path);
        set.saturating_add(elsewhere)
    };
    assert_eq!(count(type_name_of(&words::table.select(words::id))), 1);
    let nested = words::table
        .filter(words::id.eq_any(words::table.select(words::id).into_boxed::<Sqlite>()));
    assert_eq!(count(type_name_of(&nested)), 2);
    assert_eq!(count(type_name_of(&words::table.filter(words::id.eq(1)))), 1);
    assert_eq!(
        count(type_name_of(&words::table.inner_join(other::table.on(other::id.eq(words::id))))),
        1
    );
    assert_eq!(count(type_name_of(&diesel::delete(words::table.find(1)))), 1);
    assert_eq!(count(type_name_of(&diesel::update(words::table).set(words::id.eq(1)))), 1);
    // The target of an INSERT is no source, and an assignment in SET can be absent.
    let one = || words::table.select(words::id).into_boxed::<Sqlite>().single_value();
    let value = || words::id.eq(one().assume_not_null());
    let insert = || diesel::insert_into(words::table);
    assert_eq!(count(type_name_of(&insert().values(words::id.eq(1)))), 0);
    assert_eq!(count(type_name_of(&insert().values(vec![words::id.eq(1)]))), 0);
    let sources = |query: &str| count_sources(query, path);
    let upsert = insert().values(value()).on_conflict(words::id).do_update().set(value());
    assert_eq!(sources(type_name_of(&upsert)), SourceCount { set: 2, elsewhere: 0 });
    let insert = insert().values(words::table.select(words::id)).into_columns(words::id);
    assert_eq!(sources(type_name_of(&insert)), SourceCount { set: 0, elsewhere: 1 });
    let update = diesel::update(words::table).set(Some(value()));
    assert_eq!(sources(type_name_of(&update)), SourceCount { set: 1, elsewhere: 1 });
    let many = diesel::insert_into(words::table).values(vec![value()]);
    assert_eq!(sources(type_name_of(&many)), SourceCount { set: usize::MAX, elsewhere: 0 });
}

/// The compiler does not truncate names of types.
#[test]
fn names_of_any_length_are_read_to_their_ends() {
    type Two<T> = (T, T);
    type Sixteen<T> = Two<Two<Two<Two<T>>>>;
    type Many = Sixteen<Sixteen<Sixteen<words::id>>>;
    assert!(type_name::<Many>().len() > 100_000);
    assert_eq!(
        inspect_type(&bound_tables(), type_name::<Many>(), "near", false).ok(),
        Some(Complete)
    );
    assert!(
        inspect_type(&bound_tables(), type_name::<(Many, far::words::id)>(), "near", false)
            .is_err()
    );
}

fn type_name_of<T>(_: &T) -> &'static str {
    type_name::<T>()
}
