//! What the name of a query's type shows of its tables.
//!
//! `type_name` has the Rust path of every type in a query's, and so of every table that is not in a box:
//! where it is a source, by `FromClause<app::schema::events::table>`, and where a column of it is named,
//! by `app::schema::events::columns::id`.

use super::bound_tables::{BoundTable, Known, modules};
use super::type_names::{Outer, SLICE, walk};

/// How much of a query its type shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// All: its SQL has no table that is not in the type.
    All,
    /// All but what is the same in every query of the type: what a model selects by `as_select()`.
    AllButModels,
    /// The same, and there is text of the program's own in it, elsewhere than in what is selected: that can be another in
    /// each query of the type, and is not looked at.
    AllButModelsBesideText,
    /// Not what is in a box, or in a type that is not Diesel's.
    Part,
}

/// Looks for a table of another bind than `key` in the name of a query's type.
pub(super) fn read<'k>(
    known: &'k Known,
    type_name: &str,
    key: &str,
) -> Result<Shown, &'k BoundTable> {
    let mut reader = Reader {
        known,
        key,
        type_name,
        has_model: false,
        varies: false,
        hides_something: false,
        aliases: Vec::new(),
        aliases_with_columns: Vec::new(),
    };
    let mut found = Ok(());
    walk(type_name, |path, around| {
        if found.is_ok() {
            found = reader.path(path, around);
        }
    });
    found?;
    reader.read_in_methods()?;
    Ok(reader.shown())
}

/// In how many places a type has a table itself, as a source of a query has: so often can its queries write it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sources {
    /// In what is set or inserted. It may be written less often, as such a part can be absent: `None` sets nothing.
    pub(super) set: usize,
    /// Anywhere else.
    pub(super) elsewhere: usize,
}

pub(super) fn count_sources(type_name: &str, path: &str) -> Sources {
    let table = format!("{path}::table");
    let mut count = Sources::default();
    walk(type_name, |path, around| {
        let is_same = path == table && !around.iter().any(is_once_more);
        if !is_same || around.last().is_some_and(is_no_source) {
            return;
        }
        let place = if around.iter().any(is_set) { &mut count.set } else { &mut count.elsewhere };
        // There are as many as the program has put into it.
        let is_any_number =
            around.iter().any(|outer| ["alloc::vec::Vec", SLICE].contains(&outer.path));
        *place = place.saturating_add(if is_any_number { usize::MAX } else { 1 });
    });
    count
}

/// What is selected by default, and what a box may be about, is the source once more.
fn is_once_more(outer: &Outer<'_>) -> bool {
    let name = outer.path.rsplit("::").next();
    matches!(name, Some("DefaultSelectClause" | "BoxableExpression"))
}

/// Where an `INSERT` has its target, which is not written as a source is.
fn is_no_source(outer: &Outer<'_>) -> bool {
    matches!(
        (outer.path, outer.argument),
        ("diesel::query_builder::insert_statement::InsertStatement", 0)
            | ("diesel::query_builder::insert_statement::ValuesClause", 1)
            | ("diesel::query_builder::insert_statement::batch_insert::BatchInsert", 1)
            | ("diesel::query_builder::upsert::on_conflict_actions::DoUpdate", 1)
    )
}

/// Where a statement has what follows `SET` or `VALUES`.
fn is_set(outer: &Outer<'_>) -> bool {
    matches!(
        (outer.path, outer.argument),
        ("diesel::query_builder::update_statement::UpdateStatement", 2)
            | ("diesel::query_builder::insert_statement::ValuesClause", 0)
            | ("diesel::query_builder::insert_statement::batch_insert::BatchInsert", 0)
            | ("diesel::query_builder::upsert::on_conflict_actions::DoUpdate", 0)
    )
}

/// Whether text of the program's own is in what a query selects or returns.
struct IsSelected(bool);

/// The text of the program's own that queries of a type have, if any.
fn text_in(type_name: &str) -> Option<IsSelected> {
    let mut text = None;
    walk(type_name, |path, around| {
        if path == "diesel::expression::sql_literal::SqlLiteral" {
            let is_before = text.as_ref().is_some_and(|IsSelected(is_before)| *is_before);
            let is_selected = around.iter().find_map(|outer| is_selection(outer.path));
            text = Some(IsSelected(is_before || is_selected == Some(true)));
        }
    });
    text
}

/// Whether a clause is what a query selects or returns, if it is a clause.
fn is_selection(path: &str) -> Option<bool> {
    match path.strip_prefix("diesel::")?.rsplit("::").next()? {
        "SelectClause" | "ReturningClause" | "DistinctOnClause" => Some(true),
        "WhereClause" | "OrderClause" | "HavingClause" | "GroupByClause" | "JoinOn" => Some(false),
        _ => None,
    }
}

struct Reader<'n, 'k> {
    known: &'k Known,
    key: &'n str,
    type_name: &'n str,
    has_model: bool,
    /// Whether there can be more or less of it in one query of this type than in another.
    varies: bool,
    hides_something: bool,
    aliases: Vec<&'n str>,
    aliases_with_columns: Vec<&'n str>,
}

/// What the arguments of a type are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arguments {
    /// Those of a type that writes them out as they are.
    Shown,
    /// None of them can have a table in it: they are values, or say what kind a value is.
    Values,
    /// So it is with the first one alone.
    FirstIsValue,
    /// So it is with all but the first one.
    RestAreValues,
    /// A type that `diesel::alias!` has made, whose table is not in its name.
    Alias,
    /// Such a type, and a column of its table.
    AliasedField,
}

impl<'n, 'k> Reader<'n, 'k> {
    fn path(&mut self, path: &'n str, around: &[Outer<'n>]) -> Result<(), &'k BoundTable> {
        // A slice has as many rows as it has.
        self.varies |= around.iter().any(|outer| outer.path == SLICE);
        if around.iter().any(is_value) {
            return Ok(());
        }
        match around.last().map(|outer| (arguments_of(outer.path), outer.argument)) {
            Some((Arguments::Alias, 0)) => self.aliases.push(path),
            Some((Arguments::AliasedField, 0)) => self.aliases_with_columns.push(path),
            _ => {
                for module in modules(path) {
                    let mut tables = self.known.at_path(module).peekable();
                    if let Some(first) = tables.peek() {
                        let first = *first;
                        let (mut own, mut others) = (false, false);
                        for table in tables {
                            let is_own = table.key == self.key;
                            own |= is_own;
                            others |= !is_own;
                        }
                        if !own {
                            return Err(first);
                        }
                        // Two tables that the path does not tell apart: their names may.
                        self.hides_something |= others;
                        return Ok(());
                    }
                }
                match path {
                    "diesel::expression::select_by::SelectBy" => self.has_model = true,
                    "core::option::Option" | "alloc::vec::Vec" => self.varies = true,
                    _ => self.hides_something |= !shows_all(path),
                }
            }
        }
        Ok(())
    }

    /// Such a path is no single word of the name.
    fn read_in_methods(&mut self) -> Result<(), &'k BoundTable> {
        for table in self.known.in_methods() {
            let is_shown = self.type_name.match_indices(table.path).any(|(at, path)| {
                let rest = &self.type_name[at + path.len()..];
                ["::table", "::star", "::columns::"].iter().any(|end| rest.starts_with(end))
            });
            let has_own = || self.known.at_path(table.path).any(|other| other.key == self.key);
            if is_shown && !has_own() {
                return Err(table);
            }
        }
        Ok(())
    }

    fn shown(&self) -> Shown {
        let has_bare_alias =
            self.aliases.iter().any(|alias| !self.aliases_with_columns.contains(alias));
        if self.hides_something || has_bare_alias {
            return Shown::Part;
        }
        if !self.has_model {
            return Shown::All;
        }
        match text_in(self.type_name) {
            None if self.varies => Shown::Part,
            None => Shown::AllButModels,
            Some(IsSelected(false)) => Shown::AllButModelsBesideText,
            // What the model selects cannot be told from it.
            Some(IsSelected(true)) => Shown::All,
        }
    }
}

/// Whether what stands there has no tables in it.
fn is_value(outer: &Outer<'_>) -> bool {
    match arguments_of(outer.path) {
        Arguments::Values => true,
        Arguments::FirstIsValue => outer.argument == 0,
        Arguments::RestAreValues => outer.argument > 0,
        Arguments::Shown | Arguments::Alias | Arguments::AliasedField => false,
    }
}

fn arguments_of(path: &str) -> Arguments {
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
        _ if [BOUND_TO, TOLD].contains(&path) => Arguments::RestAreValues,
        _ => Arguments::Shown,
    }
}

// Types of this crate that are about another query.
const BOUND_TO: &str = "registry_core::query::bound_to::BoundTo";
const TOLD: &str = "registry_core::query::bound_to::Told";
const GATHERED: &str = "registry_core::query::execute::upsert::Gathered";

/// Whether a type of that path writes nothing but what its arguments write, and words of its own or of the
/// program's. Any other is held to be a box.
fn shows_all(path: &str) -> bool {
    match path.split_once("::") {
        None => is_plain(path),
        Some(("diesel", rest)) => OF_DIESEL.iter().any(|of| match of.strip_suffix('*') {
            Some(module) => rest.starts_with(module),
            None => rest == *of,
        }),
        Some(_) => {
            [BOUND_TO, TOLD, GATHERED].contains(&path)
                || is_function(path)
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

/// A function that `define_sql_function!` has declared, such as `app::lower_utils::lower`: it writes its name and
/// its arguments.
fn is_function(path: &str) -> bool {
    let mut from_end = path.rsplit("::");
    let name = from_end.next();
    name.is_some() && from_end.next().and_then(|module| module.strip_suffix("_utils")) == name
}

/// A number, or a word of the language. Not `dyn`, `fn` or `impl`.
fn is_plain(word: &str) -> bool {
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

/// Diesel's types that have no box in them: modules (`*`), and types whose modules have others as well.
/// The text of `sql_query` and `sql` is the program's own.
const OF_DIESEL: &[&str] = &[
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
mod tests;
