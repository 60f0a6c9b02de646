//! The tables in the name of a query's type, and how much of the query that name covers.
//!
//! [`type_name`](std::any::type_name) contains the Rust path of every type inside of the query's type, and so of every
//! table that is not in a box: as a source in `FromClause<app::schema::events::table>`, and with each of its columns,
//! as in `app::schema::events::columns::id`.

use super::bound_tables::{BoundTable, BoundTables, candidate_modules};
use super::diesel_types::{
    Arguments, arguments_of, content_of_bound_to, is_sql_text, is_transparent,
};
use super::type_names::{EnclosingType, SLICE, walk_type_name};

/// How much of a query the name of its type covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeCoverage {
    /// The name contains every table of the query's SQL.
    Complete,
    /// The name contains every table except those in the selection of a model (`as_select()`). They are read from the
    /// SQL, once for the type, because the selection is the same in every query of the type.
    NeedsModelSql,
    /// As [`NeedsModelSql`](Self::NeedsModelSql), but the query has literal SQL outside of its selection. The literal SQL
    /// can differ between queries of the type, and is not checked: only the selection is read from the SQL.
    NeedsSelectionSql,
    /// A part of the query is in a box, or in a type that is not known to be transparent, or is SQL text in a query with
    /// `.bound_to()`.
    Partial,
}

/// Inspects the name of a query's type. The error is the first table that belongs to another bind than `key`.
///
/// With `checks_text`, the query has `.bound_to()`, and its SQL text is checked.
pub(super) fn inspect_type<'t>(
    bound_tables: &'t BoundTables,
    type_name: &str,
    key: &str,
    checks_text: bool,
) -> Result<TypeCoverage, &'t BoundTable> {
    let mut inspection = TypeInspection {
        bound_tables,
        key,
        type_name,
        checks_text,
        has_model: false,
        varies: false,
        hides_something: false,
        aliases: Vec::new(),
        aliases_with_columns: Vec::new(),
    };
    let mut inspected = Ok(());
    walk_type_name(type_name, |path, enclosing| {
        if inspected.is_ok() {
            inspected = inspection.inspect_path(path, enclosing);
        }
    });
    inspected?;
    inspection.inspect_tables_in_methods()?;
    Ok(inspection.coverage())
}

struct TypeInspection<'n, 't> {
    bound_tables: &'t BoundTables,
    key: &'n str,
    type_name: &'n str,
    checks_text: bool,
    has_model: bool,
    /// Whether a part can be absent or repeated, so that the SQL of two queries of this type can differ.
    varies: bool,
    hides_something: bool,
    aliases: Vec<&'n str>,
    aliases_with_columns: Vec<&'n str>,
}

impl<'n, 't> TypeInspection<'n, 't> {
    fn inspect_path(
        &mut self,
        path: &'n str,
        enclosing: &[EnclosingType<'n>],
    ) -> Result<(), &'t BoundTable> {
        self.varies |= enclosing.iter().any(|outer| outer.path == SLICE);
        if enclosing.iter().any(is_value) {
            return Ok(());
        }
        match enclosing.last().map(|outer| (arguments_of(outer.path), outer.argument)) {
            Some((Arguments::Alias, 0)) => self.aliases.push(path),
            Some((Arguments::AliasedField, 0)) => self.aliases_with_columns.push(path),
            _ if self.is_bound_table(path)? => {}
            _ => match path {
                "diesel::expression::select_by::SelectBy" => self.has_model = true,
                "core::option::Option" | "alloc::vec::Vec" => self.varies = true,
                _ if self.checks_text && is_sql_text(path) => self.hides_something = true,
                _ => self.hides_something |= !is_transparent(path),
            },
        }
        Ok(())
    }

    /// Whether the path names a bound table, or a column of a bound table. The error is a table of another bind.
    fn is_bound_table(&mut self, path: &str) -> Result<bool, &'t BoundTable> {
        for module in candidate_modules(path) {
            let mut tables = self.bound_tables.at_path(module);
            let Some(first) = tables.clone().next() else { continue };
            if !tables.clone().any(|table| table.key == self.key) {
                return Err(first);
            }
            // Several tables of several binds share this path. Their names in SQL may distinguish them.
            self.hides_something |= tables.any(|table| table.key != self.key);
            return Ok(true);
        }
        Ok(false)
    }

    /// Searches for the paths of tables in methods as text, because the parser does not read such a path as one path.
    fn inspect_tables_in_methods(&self) -> Result<(), &'t BoundTable> {
        for table in self.bound_tables.in_methods() {
            let is_in_name = self.type_name.match_indices(table.path).any(|(at, path)| {
                let rest = &self.type_name[at + path.len()..];
                ["::table", "::star", "::columns::"].iter().any(|end| rest.starts_with(end))
            });
            let has_own =
                || self.bound_tables.at_path(table.path).any(|other| other.key == self.key);
            if is_in_name && !has_own() {
                return Err(table);
            }
        }
        Ok(())
    }

    fn coverage(&self) -> TypeCoverage {
        // The name of an alias does not contain its table. The name of a column of the alias does.
        let has_bare_alias =
            self.aliases.iter().any(|alias| !self.aliases_with_columns.contains(alias));
        if self.hides_something || has_bare_alias {
            return TypeCoverage::Partial;
        }
        if !self.has_model {
            return TypeCoverage::Complete;
        }
        match find_literal_sql(self.type_name) {
            None if self.varies => TypeCoverage::Partial,
            None => TypeCoverage::NeedsModelSql,
            Some(LiteralSql::Elsewhere) => TypeCoverage::NeedsSelectionSql,
            // In the SQL, the selection of the model cannot be told from the literal SQL, and literal SQL is not checked.
            Some(LiteralSql::InSelection) => TypeCoverage::Complete,
        }
    }
}

/// Whether the SQL of a query with `.bound_to()` may have a subquery on a table of the query around it.
///
/// Diesel does not write one, but people do. So this holds for SQL text, and for a query type of the program, as long as it has
/// no box that could have another database's table of the same name in it.
pub(super) fn may_nest_tables(type_name: &str) -> bool {
    let is_of_the_program = content_of_bound_to(type_name)
        .is_some_and(|content| !content.trim_start_matches('&').starts_with("diesel::"));
    let (mut has_text, mut has_box) = (false, false);
    walk_type_name(type_name, |path, enclosing| {
        if !enclosing.iter().any(is_value) {
            has_text |= is_sql_text(path);
            has_box |= path == "dyn" || path.starts_with(BOXED_SELECT);
        }
    });
    (is_of_the_program || has_text) && !has_box
}

const BOXED_SELECT: &str = "diesel::query_builder::select_statement::boxed::BoxedSelectStatement";

/// Whether the path is in an argument that stands for a value. A value has no tables.
fn is_value(outer: &EnclosingType<'_>) -> bool {
    match arguments_of(outer.path) {
        Arguments::Values => true,
        Arguments::FirstIsValue => outer.argument == 0,
        Arguments::RestAreValues => outer.argument > 0,
        Arguments::Parts | Arguments::Alias | Arguments::AliasedField => false,
    }
}

/// The place of literal SQL, `sql("..")`, in queries of a type.
#[derive(Clone, Copy)]
enum LiteralSql {
    /// In the `SELECT` list or `RETURNING` clause; perhaps elsewhere as well.
    InSelection,
    Elsewhere,
}

/// The place of literal SQL in queries of a type. `None` if they have no literal SQL.
fn find_literal_sql(type_name: &str) -> Option<LiteralSql> {
    let mut found = None;
    walk_type_name(type_name, |path, enclosing| {
        if path == "diesel::expression::sql_literal::SqlLiteral" {
            let is_selected =
                enclosing.iter().find_map(|outer| is_selection(outer.path)) == Some(true);
            if is_selected {
                found = Some(LiteralSql::InSelection);
            }
            found.get_or_insert(LiteralSql::Elsewhere);
        }
    });
    found
}

/// Whether a clause is a `SELECT` list or a `RETURNING` clause. `None` for a type that is no clause.
fn is_selection(path: &str) -> Option<bool> {
    match path.strip_prefix("diesel::")?.rsplit("::").next()? {
        "SelectClause" | "ReturningClause" | "DistinctOnClause" => Some(true),
        "WhereClause" | "OrderClause" | "HavingClause" | "GroupByClause" | "JoinOn" => Some(false),
        _ => None,
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
