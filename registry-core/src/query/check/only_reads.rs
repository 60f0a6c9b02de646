//! Whether a query only reads, by the name of its type.
//!
//! A reader takes only queries whose types show that they only read, so the compiler refuses most others. Here are the rest: the
//! queries on an `AnyExecutor` or in generic code that turns out to be a reader, locks in subqueries and in boxes, and claims by
//! `.reads::<Model>()` that are not true. What neither type nor text shows, such as a function that writes, is refused by the
//! server.

use diesel::result::Error as DieselError;

use super::diesel_types::{ONLY_READS, is_sql_text, is_wrapper};
use super::type_names::walk_type_name;

/// What a query does, as far as its type tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryEffect {
    /// It is a select without anything that its type hides, or the program claims that it only reads.
    Reads,
    /// It is an insert, an update or a delete, or it locks rows.
    Writes,
    /// It does so, and the program claims that it only reads.
    FalseClaim,
    /// The type does not tell: it is no select, or hides a part of one in a box or in SQL text. The SQL may tell.
    InText,
}

/// The modules of Diesel's types that write or lock rows.
const WRITING: [&str; 4] = [
    "diesel::query_builder::insert_statement::",
    "diesel::query_builder::update_statement::",
    "diesel::query_builder::delete_statement::",
    "diesel::query_builder::locking_clause::LockingClause",
];

/// The modules of Diesel's selects.
const SELECTS: [&str; 2] =
    ["diesel::query_builder::select_statement::", "diesel::query_builder::combination_clause::"];

/// A select whose conditions are in a box.
const BOXED_SELECT: &str = "diesel::query_builder::select_statement::boxed::";

pub(super) fn effect_of(type_name: &str) -> QueryEffect {
    let (mut writes, mut hides_something, mut is_claimed) = (false, false, false);
    let mut outermost = None;
    walk_type_name(type_name, |path, _| {
        writes |= WRITING.iter().any(|module| path.starts_with(module));
        hides_something |= path == "dyn" || path.starts_with(BOXED_SELECT) || is_sql_text(path);
        is_claimed |= path == ONLY_READS;
        if outermost.is_none() && !is_wrapper(path) {
            outermost = Some(path);
        }
    });
    let is_select =
        || outermost.is_some_and(|path| SELECTS.iter().any(|module| path.starts_with(module)));
    match (writes, is_claimed) {
        (true, true) => QueryEffect::FalseClaim,
        (true, false) => QueryEffect::Writes,
        (false, true) => QueryEffect::Reads,
        (false, false) if is_select() && !hides_something => QueryEffect::Reads,
        (false, false) => QueryEffect::InText,
    }
}

/// A query was refused because it may do more than read.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOnlyReading {
    /// The same text as the compiler's, see [`ReadsOnly`](crate::query::routing::ReadsOnly).
    #[error(
        "a reader only reads, and this query writes, locks rows, or is not known to only read: run a query that writes on `&registry`, `&tenant`, a session or in a unit of work, and say of SQL text and of a query type of your own that it only reads, with `.reads::<Model>()`"
    )]
    OnReader,
    #[error(
        "a query with `.reads::<Model>()` writes or locks rows: say where it belongs with `.bound_to::<Model>()`, and run it on an executor that is no reader"
    )]
    FalseClaim,
}

impl From<NotOnlyReading> for DieselError {
    fn from(error: NotOnlyReading) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use std::any::type_name_of_val;

    use diesel::dsl::{exists, sql};
    use diesel::prelude::*;
    use diesel::query_builder::AsQuery;
    use diesel::sql_types::{Bool, Integer};

    use super::{QueryEffect, effect_of};
    use crate::BindDsl;

    type Jobs = crate::bind::Db<crate::backend::Postgres, crate::bind::Name<'r'>>;

    diesel::table! { jobs (id) { id -> Integer, } }
    diesel::table! { runs (id) { id -> Integer, } }
    diesel::allow_tables_to_appear_in_same_query!(jobs, runs);

    /// A query type of a program.
    #[derive(diesel::query_builder::QueryId)]
    struct Report<Q>(Q);

    impl<Q: diesel::query_builder::Query> diesel::query_builder::Query for Report<Q> {
        type SqlType = Q::SqlType;
    }

    fn effect(query: impl AsQuery) -> QueryEffect {
        effect_of(type_name_of_val(&query.as_query()))
    }

    #[test]
    fn selects_and_claims_read() {
        let ids = || jobs::table.select(jobs::id);
        for (name, found) in [
            ("a table", effect(jobs::table)),
            ("a union", effect(ids().union(ids()))),
            ("a join", effect(jobs::table.inner_join(runs::table.on(runs::id.eq(jobs::id))))),
            ("without a table", effect(diesel::select(exists(ids())))),
            ("a bound select", effect(ids().bound_to::<Jobs>())),
            ("a claim", effect(diesel::sql_query("SELECT 1").reads::<Jobs>())),
            ("a claim of a type of the program", effect(Report(ids()).reads::<Jobs>())),
        ] {
            assert_eq!(found, QueryEffect::Reads, "{name}");
        }
    }

    #[test]
    fn statements_that_write_and_locks_at_any_depth_do_not() {
        let ids = || jobs::table.select(jobs::id);
        let locked = || ids().for_update().skip_locked();
        let insert = || diesel::insert_into(jobs::table).values(jobs::id.eq(1));
        for (name, found) in [
            ("an insert", effect(insert())),
            ("an upsert", effect(insert().on_conflict_do_nothing())),
            ("an insert of a select", effect(ids().insert_into(jobs::table))),
            ("an update", effect(diesel::update(jobs::table).set(jobs::id.eq(1)))),
            ("a delete", effect(diesel::delete(jobs::table))),
            ("a boxed delete", effect(diesel::delete(jobs::table).into_boxed::<diesel::pg::Pg>())),
            ("a bound insert", effect(insert().bound_to::<Jobs>())),
            ("a lock", effect(locked())),
            ("a lock in a union", effect(ids().union_all(locked()))),
            ("a lock in a subquery", effect(runs::table.filter(runs::id.eq_any(locked())))),
            ("a lock in a selection", effect(diesel::select(exists(locked())))),
            ("a lock in a type of the program", effect(Report(locked()))),
        ] {
            assert_eq!(found, QueryEffect::Writes, "{name}");
        }
        assert_eq!(effect(insert().reads::<Jobs>()), QueryEffect::FalseClaim);
        assert_eq!(effect(locked().reads::<Jobs>()), QueryEffect::FalseClaim);
    }

    #[test]
    fn of_text_boxes_and_unknown_types_only_the_text_tells() {
        let boxed = || jobs::table.select(jobs::id).into_boxed::<diesel::pg::Pg>();
        let condition =
            || -> Box<dyn BoxableExpression<jobs::table, diesel::pg::Pg, SqlType = Bool>> {
                Box::new(jobs::id.eq(1))
            };
        for (name, found) in [
            ("text", effect(diesel::sql_query("SELECT 1"))),
            ("bound text", effect(diesel::sql_query("SELECT 1").bound_to::<Jobs>())),
            ("a literal", effect(sql::<Integer>("SELECT 1"))),
            ("text in a select", effect(diesel::select(sql::<Integer>("1")))),
            ("text in a condition", effect(jobs::table.filter(sql::<Bool>("true")))),
            ("a box", effect(jobs::table.into_boxed::<diesel::pg::Pg>())),
            ("boxes in a union", effect(boxed().union(boxed()))),
            ("a condition in a box", effect(jobs::table.filter(condition()))),
            ("a type of the program", effect(Report(jobs::table.select(jobs::id)))),
        ] {
            assert_eq!(found, QueryEffect::InText, "{name}");
        }
    }
}
