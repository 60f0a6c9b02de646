//! The check for row locks that would be released before the caller can rely on them.
//!
//! The compiler refuses a locking clause on `&registry` and `&tenant`
//! ([`LocksNothing`](crate::query::routing::LocksNothing)), except in a query with `.bound_to::<Model>()`, which can
//! be of any type. An [`AnyExecutor`](crate::AnyExecutor) may be a registry or not. This check finds the clause at run
//! time, in the name of the type.

use diesel::result::Error as DieselError;

use super::type_names::walk_type_name;

const SELECT: &str = "diesel::query_builder::select_statement::SelectStatement";
const LOCKING: &str = "diesel::query_builder::locking_clause::LockingClause";

/// The types of statements. A select inside of one is a subquery.
const STATEMENTS: [&str; 5] = [
    SELECT,
    "diesel::query_builder::select_statement::boxed::BoxedSelectStatement",
    "diesel::query_builder::insert_statement::InsertStatement",
    "diesel::query_builder::update_statement::UpdateStatement",
    "diesel::query_builder::delete_statement::DeleteStatement",
];

/// A query was refused and not sent, because its row locks would be released at the end of the call.
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

/// Whether queries of the type `type_name` lock the rows that they return. The lock may be in the query itself, in a part
/// of its `UNION`, or in the query inside of a query type of the program.
///
/// A lock in a subquery is meant for the duration of the statement, so it is allowed.
pub(super) fn loses_row_lock(type_name: &str) -> bool {
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

    use super::loses_row_lock;
    use crate::BindDsl;

    type Jobs = crate::bind::Db<crate::backend::Postgres, crate::bind::Name<'l'>>;

    diesel::table! { jobs (id) { id -> Integer, } }
    diesel::table! { runs (id) { id -> Integer, } }
    diesel::allow_tables_to_appear_in_same_query!(jobs, runs);

    /// A query type of the program.
    struct Page<Q>(Q);

    impl<Q: Query> Query for Page<Q> {
        type SqlType = Q::SqlType;
    }

    fn loses_lock(query: impl AsQuery) -> bool {
        loses_row_lock(type_name_of_val(&query.as_query()))
    }

    #[test]
    fn only_the_outermost_lock_of_a_bound_query_is_lost() {
        let locked = || jobs::table.select(jobs::id).for_update().skip_locked();
        let bound = locked().bound_to::<Jobs>();
        assert!(loses_lock(bound), "{}", type_name_of_val(&locked().bound_to::<Jobs>().as_query()));
        assert!(loses_lock(jobs::table.for_update().bound_to::<Jobs>()));
        assert!(loses_lock(locked().bound_to::<Jobs>().bound_to::<Jobs>()));
        let plain = || jobs::table.select(jobs::id);
        assert!(loses_lock(plain().union_all(locked()).bound_to::<Jobs>()));
        assert!(loses_lock(plain().union(plain()).union_all(locked()).bound_to::<Jobs>()));
        assert!(loses_lock(Page(locked()).bound_to::<Jobs>()));
        assert!(loses_lock(Page(plain().union_all(locked())).bound_to::<Jobs>()));
        // The lock of a subquery.
        let wanted = || runs::id.eq_any(locked());
        assert!(!loses_lock(runs::table.filter(wanted()).bound_to::<Jobs>()));
        assert!(!loses_lock(
            Page(runs::table.select(runs::id).filter(wanted())).bound_to::<Jobs>()
        ));
        assert!(!loses_lock(
            plain().union(runs::table.select(runs::id).filter(wanted())).bound_to::<Jobs>()
        ));
        let update = diesel::update(runs::table.filter(wanted())).set(runs::id.eq(1));
        assert!(!loses_lock(update.bound_to::<Jobs>()));
        let delete = diesel::delete(runs::table.filter(wanted()));
        assert!(!loses_lock(delete.bound_to::<Jobs>()));
        assert!(loses_lock(locked()));
        assert!(loses_lock(plain().union_all(locked())));
        assert!(!loses_lock(plain()));
        assert!(!loses_lock(jobs::table.select(jobs::id).bound_to::<Jobs>()));
    }
}
