//! Loading rows on a connection that is lent already, for what runs several statements on one connection.

use std::panic::Location;

use diesel_async::RunQueryDsl;
use diesel_async::methods::LoadQuery;

use super::erased::ErasedQuery;
use super::executor::lease::Lease;
use super::executor::{Lender, LenderBackend};
use super::retry::{lease_for_retry, may_retry};

/// The rows of a query that has passed its checks, and the lease for the next query.
pub(super) async fn load_on_lease<'q, E, B, ST, U>(
    mut lease: E::Lease,
    mut query: ErasedQuery<'q, LenderBackend<E, B>, ST>,
    again: &mut Option<E>,
    at: &'static Location<'static>,
) -> Result<(E::Lease, Vec<U>), E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    ST: 'static,
    ErasedQuery<'q, LenderBackend<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    loop {
        let (to_send, kept) = query.split_for_retry(may_retry::<E, B>(again.as_ref()));
        let error = match RunQueryDsl::load(to_send, lease.connection()).await {
            Ok(rows) => {
                if let Some(checkout) = lease.checkout() {
                    checkout.note_rows_read();
                }
                return Ok((lease, rows));
            }
            Err(error) => error,
        };
        let repeatable = || kept.into_repeatable();
        (lease, query) = lease_for_retry::<E, B, _>(lease, error, repeatable, again, at).await?;
    }
}
