//! What becomes of a query that failed.
//!
//! PostgreSQL refuses a prepared statement whose table has been changed since, one with the number of a
//! type that was made anew, and one that is gone. It does so before it executes anything, and the caller can do nothing
//! about it but to run the query again. So a query that has its own session, and is therefore in no
//! transaction of the caller's, is run again once, where that helps.

use std::panic::Location;

use diesel::result::Error as DieselError;

use super::error::QueryError;
use super::executor::Lender;
use super::executor::lease::{Lease, origin};
use crate::backend::driver::Driver;
use crate::backend::error_class::ErrorClass;

/// Whether a query that is run on `E` may be run again.
pub(super) fn may_retry<E: Lender<B>, B>(again: Option<&E>) -> bool {
    <E::Connection as Driver>::HAS_STALE_STATEMENTS && again.is_some()
}

/// All that is known of a failure.
pub(super) async fn failed<E: Lender<B>, B>(
    lease: &mut E::Lease,
    error: DieselError,
) -> QueryError {
    let Some(checkout) = lease.checkout() else { return error.into() };
    let error = checkout.in_words_of_server(error);
    if !E::TELLS_MORE {
        return error.into();
    }
    let class = checkout.class_of(&error).await;
    QueryError::new(origin(lease), class, error)
}

/// A lease and a query for a second try, or the error of the first one.
///
/// `query` has the query if it can be run twice, and `again` is emptied: there is no third try.
pub(super) async fn prepare_retry<E: Lender<B>, B, Q>(
    mut lease: E::Lease,
    error: DieselError,
    query: impl FnOnce() -> Option<Q> + Send,
    again: &mut Option<E>,
    at: &'static Location<'static>,
) -> Result<(E::Lease, Q), E::Error> {
    let error = failed::<E, B>(&mut lease, error).await;
    let needs_another = match error.class() {
        Some(ErrorClass::StalePlan) => false,
        // diesel-async remembers the numbers of types for as long as the connection lives, and tokio-postgres the
        // statements by which it looks them up.
        Some(ErrorClass::StaleType | ErrorClass::StatementGone) => true,
        _ => return Err(error.into()),
    };
    // In test isolation, one is open.
    let is_outside = lease.checkout().is_some_and(|checkout| checkout.is_outside_transaction());
    let Some(again) = again.take().filter(|_| is_outside) else { return Err(error.into()) };
    let Some(query) = query() else { return Err(error.into()) };
    if needs_another {
        drop(lease);
        lease = again.lease(at).await?;
    }
    Ok((lease, query))
}
