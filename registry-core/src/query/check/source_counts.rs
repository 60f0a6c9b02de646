//! How often a query can write a table of its own.

use super::type_names::{EnclosingType, SLICE, walk_type_name};

/// In how many places a type has a table itself, as a source of a query has: so often can its queries write it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SourceCount {
    /// In what is set or inserted. It may be written less often, as such a part can be absent: `None` sets nothing.
    pub(super) set: usize,
    /// Anywhere else.
    pub(super) elsewhere: usize,
}

pub(super) fn count_sources(type_name: &str, path: &str) -> SourceCount {
    let table = format!("{path}::table");
    let mut count = SourceCount::default();
    walk_type_name(type_name, |path, enclosing| {
        let is_same = path == table && !enclosing.iter().any(repeats_source);
        if !is_same || enclosing.last().is_some_and(is_insert_target) {
            return;
        }
        let place =
            if enclosing.iter().any(is_assignment) { &mut count.set } else { &mut count.elsewhere };
        // There are as many as the program has put into it.
        let is_any_number =
            enclosing.iter().any(|outer| ["alloc::vec::Vec", SLICE].contains(&outer.path));
        *place = place.saturating_add(if is_any_number { usize::MAX } else { 1 });
    });
    count
}

/// What is selected by default, and what a box may be about, is the source once more.
fn repeats_source(outer: &EnclosingType<'_>) -> bool {
    let name = outer.path.rsplit("::").next();
    matches!(name, Some("DefaultSelectClause" | "BoxableExpression"))
}

/// Where an `INSERT` has its target, which is not written as a source is.
fn is_insert_target(outer: &EnclosingType<'_>) -> bool {
    matches!(
        (outer.path, outer.argument),
        ("diesel::query_builder::insert_statement::InsertStatement", 0)
            | ("diesel::query_builder::insert_statement::ValuesClause", 1)
            | ("diesel::query_builder::insert_statement::batch_insert::BatchInsert", 1)
            | ("diesel::query_builder::upsert::on_conflict_actions::DoUpdate", 1)
    )
}

/// Where a statement has what follows `SET` or `VALUES`.
fn is_assignment(outer: &EnclosingType<'_>) -> bool {
    matches!(
        (outer.path, outer.argument),
        ("diesel::query_builder::update_statement::UpdateStatement", 2)
            | ("diesel::query_builder::insert_statement::ValuesClause", 0)
            | ("diesel::query_builder::insert_statement::batch_insert::BatchInsert", 0)
            | ("diesel::query_builder::upsert::on_conflict_actions::DoUpdate", 0)
    )
}
