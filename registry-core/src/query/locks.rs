//! Locks that are gone when the call returns, where the compiler does not look: in a query that was told where it
//! belongs, and so can be of any type.

use diesel::result::Error as DieselError;

const TOLD: &str = "registry_core::query::bound_to::Told<";
const SELECT: &str = "diesel::query_builder::select_statement::SelectStatement<";
const LOCKING: &str = "diesel::query_builder::locking_clause::LockingClause";

/// A query was not sent, as the rows that it locks are not locked any more when the call returns.
#[derive(Debug, thiserror::Error)]
#[error(
    "the rows that this query locks are not locked any more when the call returns: take the lock in a unit of work, or on a session, in a transaction"
)]
pub(super) struct LockThatIsLost;

impl From<LockThatIsLost> for DieselError {
    fn from(error: LockThatIsLost) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

/// Whether a query of the type of that name was told where it belongs, and is a select that locks its rows. What a
/// subquery locks is locked as long as the query takes, and wanted so.
pub(super) fn is_lost(type_name: &str) -> bool {
    let Some(arguments) = type_name.strip_prefix(TOLD).and_then(|rest| rest.strip_prefix(SELECT))
    else {
        return false;
    };
    let mut depth = 0_u32;
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' | b')' | b']' if depth == 0 => return false,
            b'>' | b')' | b']' => depth -= 1,
            b',' if depth == 0 && arguments[at + 1..].trim_start().starts_with(LOCKING) => {
                return true;
            }
            _ => {}
        }
    }
    false
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use std::any::type_name_of_val;

    use diesel::prelude::*;
    use diesel::query_builder::AsQuery;

    use super::is_lost;
    use crate::BindDsl;

    type Anywhere = crate::bind::Db<crate::backend::Postgres, crate::bind::Name<'l'>>;

    diesel::table! { jobs (id) { id -> Integer, } }

    fn is_lost_in(query: impl AsQuery) -> bool {
        is_lost(type_name_of_val(&query.as_query()))
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
        assert!(!is_lost_in(locked()));
        assert!(!is_lost_in(jobs::table.select(jobs::id).bound_to::<Anywhere>()));
    }
}
