//! What the name of a query's type shows of its tables.
//!
//! `type_name` has the Rust path of every type in a query's, and so of every table that is not in a box:
//! where it is a source, by `FromClause<app::schema::events::table>`, and where a column of it is named,
//! by `app::schema::events::columns::id`.

use super::bound_tables::{BoundTable, BoundTables, modules};
use super::diesel_types::{Arguments, arguments_of, is_transparent};
use super::type_names::{EnclosingType, SLICE, walk_type_name};

/// How much of a query its type shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeCoverage {
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
    known: &'k BoundTables,
    type_name: &str,
    key: &str,
) -> Result<TypeCoverage, &'k BoundTable> {
    let mut reader = TypeInspection {
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
    walk_type_name(type_name, |path, enclosing| {
        if found.is_ok() {
            found = reader.path(path, enclosing);
        }
    });
    found?;
    reader.read_in_methods()?;
    Ok(reader.shown())
}

/// Whether text of the program's own is in what a query selects or returns.
struct IsSelected(bool);

/// The text of the program's own that queries of a type have, if any.
fn text_in(type_name: &str) -> Option<IsSelected> {
    let mut text = None;
    walk_type_name(type_name, |path, enclosing| {
        if path == "diesel::expression::sql_literal::SqlLiteral" {
            let is_before = text.as_ref().is_some_and(|IsSelected(is_before)| *is_before);
            let is_selected = enclosing.iter().find_map(|outer| is_selection(outer.path));
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

struct TypeInspection<'n, 'k> {
    known: &'k BoundTables,
    key: &'n str,
    type_name: &'n str,
    has_model: bool,
    /// Whether there can be more or less of it in one query of this type than in another.
    varies: bool,
    hides_something: bool,
    aliases: Vec<&'n str>,
    aliases_with_columns: Vec<&'n str>,
}

impl<'n, 'k> TypeInspection<'n, 'k> {
    fn path(
        &mut self,
        path: &'n str,
        enclosing: &[EnclosingType<'n>],
    ) -> Result<(), &'k BoundTable> {
        // A slice has as many rows as it has.
        self.varies |= enclosing.iter().any(|outer| outer.path == SLICE);
        if enclosing.iter().any(is_value) {
            return Ok(());
        }
        match enclosing.last().map(|outer| (arguments_of(outer.path), outer.argument)) {
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
                    _ => self.hides_something |= !is_transparent(path),
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

    fn shown(&self) -> TypeCoverage {
        let has_bare_alias =
            self.aliases.iter().any(|alias| !self.aliases_with_columns.contains(alias));
        if self.hides_something || has_bare_alias {
            return TypeCoverage::Part;
        }
        if !self.has_model {
            return TypeCoverage::All;
        }
        match text_in(self.type_name) {
            None if self.varies => TypeCoverage::Part,
            None => TypeCoverage::AllButModels,
            Some(IsSelected(false)) => TypeCoverage::AllButModelsBesideText,
            // What the model selects cannot be told from it.
            Some(IsSelected(true)) => TypeCoverage::All,
        }
    }
}

/// Whether what stands there has no tables in it.
fn is_value(outer: &EnclosingType<'_>) -> bool {
    match arguments_of(outer.path) {
        Arguments::Values => true,
        Arguments::FirstIsValue => outer.argument == 0,
        Arguments::RestAreValues => outer.argument > 0,
        Arguments::TypeCoverage | Arguments::Alias | Arguments::AliasedField => false,
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
