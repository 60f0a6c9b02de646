//! Locks that are gone when the call returns, where the compiler does not look: in a query that was told where it
//! belongs, and so can be of any type.

use diesel::result::Error as DieselError;

use super::type_names::walk_type_name;

const BOUND_TO_QUERY: &str = "registry_core::query::bound_to::BoundToQuery<";
const SELECT: &str = "diesel::query_builder::select_statement::SelectStatement";
const LOCKING: &str = "diesel::query_builder::locking_clause::LockingClause";

/// In which a select is a subquery.
const STATEMENTS: [&str; 5] = [
    SELECT,
    "diesel::query_builder::select_statement::boxed::BoxedSelectStatement",
    "diesel::query_builder::insert_statement::InsertStatement",
    "diesel::query_builder::update_statement::UpdateStatement",
    "diesel::query_builder::delete_statement::DeleteStatement",
];

/// A query was not sent, as the rows that it locks are not locked any more when the call returns.
#[derive(Debug, thiserror::Error)]
#[error(
    "the rows that this query locks are not locked any more when the call returns: take the lock in a unit of work, or on a session, in a transaction"
)]
pub(super) struct LostRowLock;

impl From<LostRowLock> for DieselError {
    fn from(error: LostRowLock) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

/// Whether a query of the type of that name was told where it belongs, and is a select that locks its rows, has one
/// as a part of a `UNION`, or is of a type of the program's own enclosing one. What a subquery locks is locked as long
/// as the query takes, and wanted so.
pub(super) fn loses_lock(type_name: &str) -> bool {
    if !type_name.starts_with(BOUND_TO_QUERY) {
        return false;
    }
    let mut loses_lock = false;
    walk_type_name(type_name, |path, enclosing| {
        loses_lock |= path == LOCKING
            && enclosing.split_last().is_some_and(|(select, enclosing)| {
                select.path == SELECT
                    && !enclosing.iter().any(|outer| STATEMENTS.contains(&outer.path))
            });
    });
    loses_lock
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use std::any::type_name_of_val;

    use diesel::prelude::*;
    use diesel::query_builder::{AsQuery, Query};

    use super::loses_lock;
    use crate::BindDsl;

    type Anywhere = crate::bind::Db<crate::backend::Postgres, crate::bind::Name<'l'>>;

    diesel::table! { jobs (id) { id -> Integer, } }
    diesel::table! { runs (id) { id -> Integer, } }
    diesel::allow_tables_to_appear_in_same_query!(jobs, runs);

    /// A query type of the program's own.
    struct Page<Q>(Q);

    impl<Q: Query> Query for Page<Q> {
        type SqlType = Q::SqlType;
    }

    fn is_lost_in(query: impl AsQuery) -> bool {
        loses_lock(type_name_of_val(&query.as_query()))
    }

    #[test]
    fn only_the_outermost_lock_of_a_told_query_is_lost() {
        let locked = || jobs::table.select(jobs::id).for_update().skip_locked();
        let told = locked().bound_to::<Anywhere>();
        assert!(
            is_lost_in(told),
            "{}",
            type_name_of_val(&locked().bound_to::<Anywhere>().as_query())
        );
        assert!(is_lost_in(jobs::table.for_update().bound_to::<Anywhere>()));
        assert!(is_lost_in(locked().bound_to::<Anywhere>().bound_to::<Anywhere>()));
        let plain = || jobs::table.select(jobs::id);
        assert!(is_lost_in(plain().union_all(locked()).bound_to::<Anywhere>()));
        assert!(is_lost_in(plain().union(plain()).union_all(locked()).bound_to::<Anywhere>()));
        assert!(is_lost_in(Page(locked()).bound_to::<Anywhere>()));
        assert!(is_lost_in(Page(plain().union_all(locked())).bound_to::<Anywhere>()));
        // A subquery's.
        let wanted = || runs::id.eq_any(locked());
        assert!(!is_lost_in(runs::table.filter(wanted()).bound_to::<Anywhere>()));
        assert!(!is_lost_in(
            Page(runs::table.select(runs::id).filter(wanted())).bound_to::<Anywhere>()
        ));
        assert!(!is_lost_in(
            plain().union(runs::table.select(runs::id).filter(wanted())).bound_to::<Anywhere>()
        ));
        let update = diesel::update(runs::table.filter(wanted())).set(runs::id.eq(1));
        assert!(!is_lost_in(update.bound_to::<Anywhere>()));
        let delete = diesel::delete(runs::table.filter(wanted()));
        assert!(!is_lost_in(delete.bound_to::<Anywhere>()));
        assert!(!is_lost_in(locked()));
        assert!(!is_lost_in(jobs::table.select(jobs::id).bound_to::<Anywhere>()));
    }
}
