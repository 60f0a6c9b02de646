use std::any::type_name;

use diesel::dsl::{exists, max, sql};
use diesel::prelude::*;
use diesel::query_builder::AsQuery;
use diesel::sql_types::{Bool, Integer};
use diesel::sqlite::Sqlite;

use super::super::source_counts::{SourceCount, count_sources};
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

fn known() -> BoundTables {
    BoundTables::of(vec![table::<words::table>("near"), table::<far_words::table>("far")])
}

/// What is shown of a query for `near`, or the key of a table that should not be there.
fn shown<Q>(known: &BoundTables, _: &Q) -> Result<TypeCoverage, String> {
    read(known, type_name::<Q>(), "near").map_err(|table| table.key.to_string())
}

/// The tables that [`known`] has, and one of the other bind.
fn shown_with<T, Q>(query: &Q) -> Result<TypeCoverage, String> {
    let known = BoundTables::of(vec![table::<words::table>("near"), table::<T>("far")]);
    shown(&known, query)
}

fn far() -> Result<TypeCoverage, String> {
    Err("far".to_owned())
}

#[test]
fn queries_of_one_bind_are_shown_whole() {
    let known = known();
    assert_eq!(shown(&known, &words::table), Ok(TypeCoverage::All));
    let query = words::table
        .filter(words::id.gt(1).and(words::word.eq_any(vec!["a"]).or(words::word.like("b"))))
        .order((words::id.desc(), words::word))
        .select((words::id, words::word, sql::<Bool>("1").bind::<Integer, _>(1)))
        .limit(1)
        .offset(2)
        .distinct();
    assert_eq!(shown(&known, &query), Ok(TypeCoverage::All));
    let query =
        diesel::insert_into(words::table).values(vec![(words::id.eq(1), words::word.eq("a"))]);
    assert_eq!(shown(&known, &query), Ok(TypeCoverage::All));
    let query =
        diesel::update(words::table.find(1)).set((words::id.eq(1), Some(words::word.eq("a"))));
    assert_eq!(shown(&known, &query), Ok(TypeCoverage::All));
    assert_eq!(shown(&known, &diesel::delete(words::table.find(1))), Ok(TypeCoverage::All));
    let query =
        words::table.group_by(words::word).select(max(words::id)).having(max(words::id).gt(1));
    assert_eq!(shown(&known, &query), Ok(TypeCoverage::All));
    let query = words::table.select(words::id).union(words::table.select(words::id + 1));
    assert_eq!(shown(&known, &query), Ok(TypeCoverage::All));
    assert_eq!(shown(&known, &diesel::sql_query("").bind::<Integer, _>(1)), Ok(TypeCoverage::All));
    assert_eq!(
        shown(&known, &diesel::select(exists(words::table.select(words::id)))),
        Ok(TypeCoverage::All)
    );
}

#[test]
fn functions_of_the_program_are_shown_by_their_arguments() {
    diesel::define_sql_function! { fn abs(number: Integer) -> Integer; }
    let known = known();
    assert_eq!(shown(&known, &words::table.select(abs(words::id))), Ok(TypeCoverage::All));
    assert_eq!(shown(&known, &(words::id, abs(abs(far::words::id)))), far());
    let condition: Box<dyn BoxableExpression<words::table, Sqlite, SqlType = Integer>> =
        Box::new(words::id);
    assert_eq!(shown(&known, &abs(condition)), Ok(TypeCoverage::Part));
}

#[test]
fn values_are_no_part_of_a_query() {
    let known = known();
    // A type of the program's, in a place where nothing is written but a parameter.
    type Value = (far::words::table, Box<dyn Fn() -> far::words::columns::id>);
    type Bound = diesel::internal::derives::as_expression::Bound<Integer, Value>;
    let query = format!("({}, {})", type_name::<words::id>(), type_name::<Bound>());
    assert_eq!(read(&known, &query, "near").ok(), Some(TypeCoverage::All));
    use crate::BindDsl;
    type Own = crate::Db<crate::Sqlite, crate::Name<'f', 'a', 'r'>>;
    assert_eq!(shown(&known, &words::table.bound_to::<Own>()), Ok(TypeCoverage::All));
    assert_eq!(shown(&known, &words::table.bound_to::<Own>().as_query()), Ok(TypeCoverage::All));
    assert_eq!(shown(&known, &far::words::table.bound_to::<Own>().as_query()), far());
}

#[test]
fn a_table_of_another_bind_is_found_at_any_depth() {
    let known = known();
    assert_eq!(shown(&known, &far::words::table), far());
    assert_eq!(shown(&known, &far::words::star), far());
    assert_eq!(shown(&known, &far::words::id), far());
    assert_eq!(shown(&known, &(1, Some([far::words::id]))), far());
    let deep = far::words::table.select(max(far::words::id)).single_value();
    assert_eq!(shown(&known, &words::table.select((words::id, deep))), far());
    // In what is no box, though it is not Diesel's; and beside a box.
    struct Own<T>(T);
    assert_eq!(shown(&known, &Own(far::words::table)), far());
    let boxed = words::table.select(words::id).into_boxed::<Sqlite>();
    assert_eq!(shown(&known, &(boxed, far::words::id)), far());
}

#[test]
fn boxes_and_types_of_the_program_are_not_shown() {
    let known = known();
    assert_eq!(shown(&known, &words::table.into_boxed::<Sqlite>()), Ok(TypeCoverage::Part));
    assert_eq!(
        shown(&known, &diesel::delete(words::table).into_boxed::<Sqlite>()),
        Ok(TypeCoverage::Part)
    );
    type Condition = Box<dyn BoxableExpression<words::table, Sqlite, SqlType = Bool>>;
    let condition: Condition = Box::new(words::id.gt(1));
    assert_eq!(shown(&known, &words::table.filter(condition)), Ok(TypeCoverage::Part));
    struct Own;
    assert_eq!(shown(&known, &(words::id, Own)), Ok(TypeCoverage::Part));
    assert_eq!(shown(&known, &(words::id, || 1)), Ok(TypeCoverage::Part));
    assert_eq!(
        shown(&known, &(words::id, shown::<i32> as fn(&BoundTables, &i32) -> _)),
        Ok(TypeCoverage::Part)
    );
    // The values of raw SQL in a box are values.
    let text = diesel::sql_query("").into_boxed::<Sqlite>().bind::<Integer, _>(1);
    assert_eq!(shown(&known, &text), Ok(TypeCoverage::All), "{}", type_name_of(&text));
}

#[test]
fn a_model_is_the_same_in_every_query_of_its_type() {
    #[derive(Queryable, Selectable)]
    #[diesel(table_name = words)]
    #[expect(dead_code, reason = "it is never loaded")]
    struct Word {
        id: i32,
    }
    let known = known();
    let select = <Word as SelectableHelper<Sqlite>>::as_select();
    assert_eq!(shown(&known, &words::table.select(select)), Ok(TypeCoverage::AllButModels));
    assert_eq!(shown(&known, &Some(select)), Ok(TypeCoverage::Part));
}

#[test]
fn an_alias_is_shown_by_its_columns() {
    let known = known();
    let near = diesel::alias!(words as near);
    assert_eq!(shown(&known, &near.select(near.field(words::id))), Ok(TypeCoverage::All));
    assert_eq!(shown(&known, &near.count()), Ok(TypeCoverage::Part));
    let far_alias = diesel::alias!(far_words as far_alias);
    assert_eq!(shown(&known, &far_alias.select(far_alias.field(far_words::id))), far());
    assert_eq!(shown(&known, &far_alias.count()), Ok(TypeCoverage::Part));
}

#[test]
fn tables_are_found_wherever_they_are_declared() {
    diesel::table! { r#type (id) { id -> Integer, } }
    assert_eq!(shown_with::<r#type::table, _>(&r#type::table.select(r#type::id)), far());
    assert_eq!(
        shown_with::<r#type::table, _>(&words::table.select(words::id)),
        Ok(TypeCoverage::All)
    );

    let in_closure = || {
        diesel::table! { inner (id) { id -> Integer, } }
        shown_with::<inner::table, _>(&(words::id, inner::id))
    };
    assert_eq!(in_closure(), far());

    trait Finds {
        fn finds(&self) -> Result<TypeCoverage, String>;
    }
    struct Own<T>(T);
    impl<T> Own<T> {
        fn finds_in_own(&self) -> Result<TypeCoverage, String> {
            diesel::table! { inner (id) { id -> Integer, } }
            shown_with::<inner::table, _>(&(words::id, inner::table.select(inner::id)))
        }
    }
    impl<T> Finds for Own<(T, Vec<T>)> {
        fn finds(&self) -> Result<TypeCoverage, String> {
            diesel::table! { inner (id) { id -> Integer, } }
            assert_eq!(shown_with::<inner::table, _>(&words::id), Ok(TypeCoverage::All));
            shown_with::<inner::table, _>(&(words::id, inner::id))
        }
    }
    assert_eq!(Own(1).finds_in_own(), far());
    assert_eq!(Own((1, vec![1])).finds(), far());

    // One path begins with another, and one ends with another.
    let known = BoundTables::of(vec![
        BoundTable { path: "app::words", name: String::new(), key: BindKey::DEFAULT },
        BoundTable {
            path: "app::words_of",
            name: String::new(),
            key: BindKey::new("far").expect("a key"),
        },
    ]);
    let is_far = |name| read(&known, name, "default").is_err();
    assert!(!is_far("(app::words::table, my_app::words_of::table, app::words::words_of::table)"));
    assert!(is_far("(app::words::table, app::words_of::columns::table)"));
}

#[test]
fn tables_that_paths_do_not_tell_apart_go_by_name() {
    let two = |one: &str, other: &str| {
        BoundTables::of(vec![table::<words::table>(one), table::<words::table>(other)])
    };
    assert_eq!(shown(&two("near", "far"), &words::id), Ok(TypeCoverage::Part));
    assert_eq!(shown(&two("near", "near"), &words::id), Ok(TypeCoverage::All));
    assert_eq!(shown(&two("far", "far"), &words::id), far());
}

#[test]
fn sources_are_counted() {
    let path = known().named("words").next().expect("a table").path;
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
    // What is inserted into is no source, and what is set can be absent.
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

/// The compiler does not cut names short.
#[test]
fn names_of_any_length_are_read_to_their_ends() {
    type Two<T> = (T, T);
    type Sixteen<T> = Two<Two<Two<Two<T>>>>;
    type Many = Sixteen<Sixteen<Sixteen<words::id>>>;
    assert!(type_name::<Many>().len() > 100_000);
    assert_eq!(read(&known(), type_name::<Many>(), "near").ok(), Some(TypeCoverage::All));
    assert!(read(&known(), type_name::<(Many, far::words::id)>(), "near").is_err());
}

fn type_name_of<T>(_: &T) -> &'static str {
    type_name::<T>()
}
