//! Counts how often the SQL of a query type can name a table as a source, to distinguish two tables with the same name.

use std::iter::Sum;

use super::type_names::{EnclosingType, SLICE, walk_type_name};

/// The number of places at which a type has a table as a source: the SQL of its queries names the table at most so often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SourceCount {
    /// After `SET` or `VALUES`. The SQL may name the table less often there, because such a part can be absent: a `None`
    /// sets nothing.
    pub(super) set: usize,
    /// Anywhere else.
    pub(super) elsewhere: usize,
}

impl SourceCount {
    pub(super) fn total(self) -> usize {
        self.set.saturating_add(self.elsewhere)
    }
}

impl Sum for SourceCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            set: sum.set.saturating_add(count.set),
            elsewhere: sum.elsewhere.saturating_add(count.elsewhere),
        })
    }
}

/// Counts the table whose module has the path `path`.
pub(super) fn count_sources(type_name: &str, path: &str) -> SourceCount {
    let table = format!("{path}::table");
    let mut count = SourceCount::default();
    walk_type_name(type_name, |path, enclosing| {
        let is_source = path == table
            && !enclosing.iter().any(repeats_source)
            && !enclosing.last().is_some_and(is_insert_target);
        if !is_source {
            return;
        }
        let is_set = enclosing.iter().any(is_assignment);
        let place = if is_set { &mut count.set } else { &mut count.elsewhere };
        // A collection can have any number of elements.
        let is_repeated =
            enclosing.iter().any(|outer| ["alloc::vec::Vec", SLICE].contains(&outer.path));
        *place = place.saturating_add(if is_repeated { usize::MAX } else { 1 });
    });
    count
}

/// Whether the type only repeats a source of another part of the query: as the default selection, or as the source of a
/// boxed expression.
fn repeats_source(outer: &EnclosingType<'_>) -> bool {
    let name = outer.path.rsplit("::").next();
    matches!(name, Some("DefaultSelectClause" | "BoxableExpression"))
}

/// Whether the argument is the target of an `INSERT`, which is no source.
fn is_insert_target(outer: &EnclosingType<'_>) -> bool {
    matches!(
        (outer.path, outer.argument),
        ("diesel::query_builder::insert_statement::InsertStatement", 0)
            | ("diesel::query_builder::insert_statement::ValuesClause", 1)
            | ("diesel::query_builder::insert_statement::batch_insert::BatchInsert", 1)
            | ("diesel::query_builder::upsert::on_conflict_actions::DoUpdate", 1)
    )
}

/// Whether the argument is the part of a statement after `SET` or `VALUES`.
fn is_assignment(outer: &EnclosingType<'_>) -> bool {
    matches!(
        (outer.path, outer.argument),
        ("diesel::query_builder::update_statement::UpdateStatement", 2)
            | ("diesel::query_builder::insert_statement::ValuesClause", 0)
            | ("diesel::query_builder::insert_statement::batch_insert::BatchInsert", 0)
            | ("diesel::query_builder::upsert::on_conflict_actions::DoUpdate", 0)
    )
}
