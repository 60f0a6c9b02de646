//! The handling of a failed query: its error, or a second try.
//!
//! PostgreSQL refuses a prepared statement if its table has changed since the statement was prepared, if the statement
//! contains the OID of a type that was dropped and created again, and if the statement no longer exists. PostgreSQL refuses
//! it before executing anything, and the only remedy of a caller is to run the query again. So a query with a session of
//! its own, which is in no transaction of the caller, is run again once after such an error.

use std::panic::Location;

use diesel::result::Error as DieselError;

use super::error::QueryError;
use super::executor::lease::{Lease, origin};
use super::executor::{Lender, OpenedBy, QueryPlace};
use crate::backend::driver::Driver;
use crate::backend::error_class::ErrorClass;

/// Whether a query on `E` may be run again. `again` is the executor for a second try, if there is one.
pub(super) fn may_retry<E: Lender<B>, B>(again: Option<&E::Again>) -> bool {
    <OpenedBy<E, B> as Driver>::HAS_STALE_STATEMENTS && again.is_some()
}

/// The error of a query, with details from the server and from the connection.
///
/// Asks the server for details only if the executor's error can carry them.
pub(super) async fn query_error<E: Lender<B>, B>(
    lease: &mut E::Lease,
    error: DieselError,
) -> QueryError {
    let Some(checkout) = lease.checkout() else { return error.into() };
    let error = checkout.with_server_message(error);
    if !E::TELLS_MORE {
        return error.into();
    }
    let mut class = checkout.reported_class(&error);
    if class.is_none()
        && let Some(checkout) = lease.exclusive_checkout()
    {
        class = checkout.error_class(&error).await;
    }
    QueryError::new(origin(lease), class, error)
}

/// The lease and the query for a second try, or the error of the first one.
///
/// `query` returns the query if it can be run twice. `again` is emptied, so that there is no third try.
pub(super) async fn lease_for_retry<E: Lender<B>, B, Q>(
    mut lease: E::Lease,
    error: DieselError,
    query: impl FnOnce() -> Option<Q> + Send,
    again: &mut Option<E::Again>,
    at: &'static Location<'static>,
) -> Result<(E::Lease, Q), E::Error> {
    let error = query_error::<E, B>(&mut lease, error).await;
    let needs_other_connection = match error.class() {
        Some(ErrorClass::StalePlan) => false,
        // diesel-async caches the OIDs of types for the lifetime of the connection, and tokio-postgres caches the
        // statements that look up these OIDs.
        Some(ErrorClass::StaleType | ErrorClass::StatementGone) => true,
        _ => return Err(error.into()),
    };
    // In test isolation, the session of a query is in a transaction.
    let is_outside = lease.checkout().is_some_and(|checkout| checkout.is_outside_transaction());
    let Some(again) = again.take().filter(|_| is_outside) else { return Err(error.into()) };
    let Some(query) = query() else { return Err(error.into()) };
    if needs_other_connection {
        drop(lease);
        let (leasing, _) = again.lease(QueryPlace(at));
        lease = leasing.await?;
    }
    Ok((lease, query))
}
