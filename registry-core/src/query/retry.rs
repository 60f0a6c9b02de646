//! The handling of a failed query: its error, or a second try.
//!
//! PostgreSQL refuses a prepared statement if its table has changed since the statement was prepared, if the statement
//! contains the OID of a type that was dropped and created again, and if the statement no longer exists. PostgreSQL refuses
//! it before executing anything, and the only remedy of a caller is to run the query again. So a query with a session of
//! its own, which is in no transaction of the caller, is run again once after such an error.
//!
//! A connection that was used a moment ago is lent without a check, so a query may find it lost. It is unknown then how far
//! the query has come. Such a query is run again once if nothing of it was sent, which the observed stream of PostgreSQL
//! shows, or if it is a plain `SELECT`, which may run twice (`sql/effects/plain_select.rs`). Never a statement that may
//! write: it may have been executed, and only its answer be lost.

use std::panic::Location;

use diesel::result::Error as DieselError;

use super::erased::RetryRule;
use super::error::QueryError;
use super::executor::lease::{Lease, origin};
use super::executor::{Lender, OpenedBy, QueryPlace};
use crate::backend::driver::Driver;
use crate::backend::error_class::ErrorClass;
use crate::engine::RetryReason;

/// Whether a query on `E` may be run again. `again` is the executor for a second try, if there is one.
pub(super) fn may_retry<E: Lender<B>, B>(again: Option<&E::Again>) -> bool {
    <OpenedBy<E, B> as Driver>::HAS_SERVER && again.is_some()
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
    query: impl FnOnce(RetryRule) -> Option<Q> + Send,
    again: &mut Option<E::Again>,
    at: &'static Location<'static>,
) -> Result<(E::Lease, Q), E::Error> {
    let error = query_error::<E, B>(&mut lease, error).await;
    let Some((reason, rule)) = reason_for_retry::<E, B>(&mut lease, &error) else {
        return Err(error.into());
    };
    let Some(again) = again.take() else { return Err(error.into()) };
    let Some(query) = query(rule) else { return Err(error.into()) };
    if let Some(checkout) = lease.checkout() {
        checkout.note_retry(reason, at);
    }
    if reason != RetryReason::StalePlan {
        // The other connections of the engine are in doubt by now, so the lease is a connection that has answered, or a
        // new one, or the error of opening one.
        drop(lease);
        let (leasing, _) = again.lease(QueryPlace::of_write(at));
        lease = leasing.await?;
    }
    Ok((lease, query))
}

/// Why the query should be run again, and which queries may be. `None` if it should not.
fn reason_for_retry<E: Lender<B>, B>(
    lease: &mut E::Lease,
    error: &QueryError,
) -> Option<(RetryReason, RetryRule)> {
    let checkout = lease.checkout()?;
    let reason = match error.class()? {
        ErrorClass::StalePlan => RetryReason::StalePlan,
        // diesel-async caches the OIDs of types for the lifetime of the connection, and tokio-postgres caches the
        // statements that look up these OIDs.
        ErrorClass::StaleType | ErrorClass::StatementGone => RetryReason::StaleConnection,
        ErrorClass::Fatal => RetryReason::LostConnection,
        _ => return None,
    };
    if reason != RetryReason::LostConnection {
        // In test isolation, the session of a query is in a transaction.
        return checkout.is_outside_transaction().then_some((reason, RetryRule::IfAtomic));
    }
    // In test isolation, the transaction of the test is lost with the connection.
    if checkout.is_isolated() {
        return None;
    }
    let rule = if checkout.has_sent_nothing() {
        RetryRule::Always
    } else {
        RetryRule::IfPlainSelect(<OpenedBy<E, B> as Driver>::DIALECT)
    };
    Some((reason, rule))
}
