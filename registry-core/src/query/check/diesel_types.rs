//! The allowlist of types that hide no table.
//!
//! A type is transparent if its SQL consists of the SQL of its arguments and of constant words: the name of the type then
//! contains each table in its SQL. A type that is not listed here could contain a box, and is treated as a box. This costs
//! time, because the SQL is read, but no table escapes the check.

/// The meaning of the arguments of a type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Parts of the query, which can have tables.
    Parts,
    /// Values, or the SQL types of values: none of them is a table in the query.
    Values,
    /// The first argument is a value, the others are parts.
    FirstIsValue,
    /// The first argument is a part, the others are values.
    RestAreValues,
    /// A type that `diesel::alias!` has made. Its name does not contain the table.
    Alias,
    /// The type of an alias, and a column of its table.
    AliasedField,
}

pub(super) fn arguments_of(path: &str) -> Arguments {
    match path {
        "diesel::expression::bound::Bound"
        | "diesel::expression::array_comparison::Many"
        | "diesel::expression::select_by::SelectBy" => Arguments::Values,
        "diesel::expression::sql_literal::SqlLiteral" => Arguments::FirstIsValue,
        "diesel::expression::cast::Cast"
        | "diesel::expression::coerce::Coerce"
        | "diesel::expression::subselect::Subselect"
        | "diesel::pg::expression::array::ArrayLiteral"
        | "diesel::pg::expression::array::ArraySubselect"
        | "diesel::query_builder::sql_query::UncheckedBind" => Arguments::RestAreValues,
        "diesel::query_source::aliasing::alias::Alias" => Arguments::Alias,
        "diesel::query_source::aliasing::aliased_field::AliasedField" => Arguments::AliasedField,
        _ if [AFTER_KEY, BOUND_TO, BOUND_TO_QUERY].contains(&path) => Arguments::RestAreValues,
        _ => Arguments::Parts,
    }
}

// Types of this crate that contain or stand for another query. A unit test compares the paths with the types.
const BOUND_TO: &str = "registry_core::query::bound_to::BoundTo";
const BOUND_TO_QUERY: &str = "registry_core::query::bound_to::BoundToQuery";
/// The claim of `.reads::<Model>()`.
pub(super) const ONLY_READS: &str = "registry_core::query::bound_to::OnlyReads";
const AFTER_KEY: &str = "registry_core::query::keyset::order::AfterKey";
const LIMITED: &str = "registry_core::query::paginate::limited::Limited";
const COUNTED: &str = "registry_core::query::paginate::limited::Counted";
const SHARED: &str = "registry_core::query::paginate::shared::Shared";
const CAPTURED_STATEMENT: &str = "registry_core::query::execute::batch_upsert::CapturedStatement";

/// Whether a type is that of a query with `.bound_to()`.
pub(super) fn is_bound_to(type_name: &str) -> bool {
    content_of_bound_to(type_name).is_some()
}

/// The text after the `<` of a query with `.bound_to()`, which begins with the type of the query inside.
pub(super) fn content_of_bound_to(type_name: &str) -> Option<&str> {
    [BOUND_TO_QUERY, BOUND_TO]
        .iter()
        .find_map(|bound_to| type_name.strip_prefix(bound_to)?.strip_prefix('<'))
}

/// Whether the type at `path` is of this crate, and its SQL is that of the query in it.
pub(super) fn is_wrapper(path: &str) -> bool {
    [BOUND_TO, BOUND_TO_QUERY, LIMITED, SHARED, COUNTED].contains(&path)
}

/// Whether the type at `path` is SQL text of the program: `sql_query("..")` or `sql("..")`.
pub(super) fn is_sql_text(path: &str) -> bool {
    matches!(
        path,
        "diesel::expression::sql_literal::SqlLiteral"
            | "diesel::query_builder::sql_query::SqlQuery"
            | "diesel::query_builder::sql_query::BoxedSqlQuery"
    )
}

/// Whether the type at `path` hides no table.
pub(super) fn is_transparent(path: &str) -> bool {
    match path.split_once("::") {
        None => is_primitive(path),
        Some(("diesel", rest)) => {
            TRANSPARENT_DIESEL_TYPES.iter().any(|listed| match listed.strip_suffix('*') {
                Some(module) => rest.starts_with(module),
                None => rest == *listed,
            })
        }
        Some(_) => {
            [AFTER_KEY, BOUND_TO, BOUND_TO_QUERY, CAPTURED_STATEMENT, LIMITED, SHARED]
                .contains(&path)
                || is_sql_function(path)
                || matches!(
                    path,
                    "alloc::boxed::Box"
                        | "alloc::string::String"
                        | "alloc::sync::Arc"
                        | "core::marker::PhantomData"
                )
        }
    }
}

/// Whether the path names a function that `define_sql_function!` has declared, such as `app::lower_utils::lower`. The SQL
/// of such a function consists of its name and its arguments.
fn is_sql_function(path: &str) -> bool {
    let mut from_end = path.rsplit("::");
    let name = from_end.next();
    name.is_some() && from_end.next().and_then(|module| module.strip_suffix("_utils")) == name
}

/// Whether the word is a number or a primitive type. `dyn`, `fn` and `impl` are not.
fn is_primitive(word: &str) -> bool {
    word.as_bytes()[0].is_ascii_digit()
        || matches!(
            word,
            "mut"
                | "true"
                | "false"
                | "bool"
                | "char"
                | "str"
                | "f32"
                | "f64"
                | "i8"
                | "i16"
                | "i32"
                | "i64"
                | "i128"
                | "isize"
                | "u8"
                | "u16"
                | "u32"
                | "u64"
                | "u128"
                | "usize"
        )
}

/// The types of Diesel that contain no box, without `diesel::`: whole modules (`*`), and single types of modules that
/// have others as well.
///
/// The text of `sql_query` and `sql` can name any table. It is the program's own text, and is checked only in a query
/// with `.bound_to()`.
const TRANSPARENT_DIESEL_TYPES: &[&str] = &[
    "expression::array_comparison::*",
    "expression::assume_not_null::*",
    "expression::bound::*",
    "expression::case_when::*",
    "expression::cast::*",
    "expression::coerce::*",
    "expression::count::*",
    "expression::exists::*",
    "expression::functions::*",
    "expression::grouped::*",
    "expression::not::*",
    "expression::nullable::*",
    "expression::operators::*",
    "expression::ops::*",
    "expression::sql_literal::*",
    "expression::subselect::*",
    "insertable::*",
    "mysql::backend::Mysql",
    "mysql::query_builder::query_fragment_impls::*",
    "mysql::types::*",
    "pg::backend::Pg",
    "pg::expression::array::*",
    "pg::expression::array_comparison::*",
    "pg::expression::date_and_time::*",
    "pg::expression::extensions::*",
    "pg::expression::functions::*",
    "pg::expression::operators::*",
    "pg::query_builder::distinct_on::*",
    "pg::query_builder::on_constraint::*",
    "pg::query_builder::only::*",
    "pg::query_builder::tablesample::*",
    "pg::types::*",
    "query_builder::combination_clause::*",
    "query_builder::delete_statement::*",
    "query_builder::distinct_clause::*",
    "query_builder::from_clause::*",
    "query_builder::functions::*",
    "query_builder::group_by_clause::*",
    "query_builder::having_clause::*",
    "query_builder::insert_statement::*",
    "query_builder::limit_clause::*",
    "query_builder::limit_offset_clause::LimitOffsetClause",
    "query_builder::locking_clause::*",
    "query_builder::nodes::*",
    "query_builder::offset_clause::*",
    "query_builder::order_clause::*",
    "query_builder::returning_clause::*",
    "query_builder::select_clause::*",
    "query_builder::select_statement::SelectStatement",
    "query_builder::sql_query::*",
    "query_builder::update_statement::*",
    "query_builder::upsert::*",
    "query_builder::where_clause::NoWhereClause",
    "query_builder::where_clause::WhereClause",
    "query_dsl::positional_order_dsl::*",
    "query_source::aliasing::*",
    "query_source::joins::*",
    "query_source::peano_numbers::*",
    "sql_types::*",
    "sqlite::backend::Sqlite",
    "sqlite::expression::functions::*",
    "sqlite::expression::operators::*",
    "sqlite::types::*",
    "upsert::*",
];

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::any::type_name;

    use super::*;
    use crate::query::bound_to::{BoundTo, BoundToQuery, OnlyReads};
    use crate::query::execute::batch_upsert::CapturedStatement;
    use crate::query::keyset::AfterKey;
    use crate::query::paginate::{Counted, Limited, Shared};

    diesel::table! { keys (id) { id -> Integer, } }

    use keys::id;

    #[test]
    fn the_paths_of_types_of_this_crate_are_right() {
        let path_of = |name: &'static str| name.split('<').next();
        assert_eq!(path_of(type_name::<BoundTo<(), ()>>()), Some(BOUND_TO));
        assert_eq!(path_of(type_name::<BoundToQuery<(), ()>>()), Some(BOUND_TO_QUERY));
        assert_eq!(path_of(type_name::<CapturedStatement<()>>()), Some(CAPTURED_STATEMENT));
        type Order = diesel::dsl::Asc<id>;
        assert_eq!(path_of(type_name::<AfterKey<Order, ()>>()), Some(AFTER_KEY));
        assert_eq!(path_of(type_name::<Limited<()>>()), Some(LIMITED));
        assert_eq!(path_of(type_name::<Shared<()>>()), Some(SHARED));
        assert_eq!(path_of(type_name::<Counted<()>>()), Some(COUNTED));
        assert_eq!(path_of(type_name::<OnlyReads>()), Some(ONLY_READS));
    }
}
