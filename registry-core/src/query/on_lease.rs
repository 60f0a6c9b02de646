//! Loading all rows of a query on a connection that is lent already.

use std::panic::Location;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use diesel_async::methods::LoadQuery;
use futures_util::TryStreamExt;

use super::erased::ErasedQuery;
use super::executor::lease::Lease;
use super::executor::{Lender, LenderBackend};
use super::retry::{lease_for_retry, may_retry};
use crate::engine::{Checkout, OpenRows};
use crate::telemetry::{ObservedQuery, QueryTags, Statement};

/// The rows of a query that has passed its checks, and the lease for the next query.
pub(super) async fn load_on_lease<'q, E, B, ST, U>(
    mut lease: E::Lease,
    mut query: ErasedQuery<'q, LenderBackend<E, B>, ST>,
    again: &mut Option<E::Again>,
    at: &'static Location<'static>,
) -> Result<(E::Lease, Vec<U>), E::Error>
where
    E: Lender<B> + 'q,
    B: 'static,
    ST: 'static,
    ErasedQuery<'q, LenderBackend<E, B>, ST>: LoadQuery<'q, E::Connection, U>,
    U: Send + 'static,
{
    let mut observed = observe(&lease, at, |with_values| query.statement(with_values));
    if let Some(tags) = tags(&lease, &observed) {
        query.tag(&tags);
    }
    loop {
        if lease.bypasses_statement_cache() {
            query.bypass_cache();
        }
        let (to_send, kept) = query.split_for_retry(may_retry::<E, B>(again.as_ref()));
        let error = match observed.run(all_rows(to_send, &mut lease)).await {
            Ok(rows) => {
                observed.end_with(rows.len());
                if let Some(checkout) = lease.checkout() {
                    checkout.note_rows_read();
                }
                return Ok((lease, rows));
            }
            Err(error) => error,
        };
        observed.note_error(&error);
        let repeatable = |rule| kept.into_repeatable(rule);
        (lease, query) = lease_for_retry::<E, B, _>(lease, error, repeatable, again, at).await?;
        run_again(&lease, &mut observed);
    }
}

/// The query that is about to be sent on `lease`, for those who listen to queries. Its text is only asked for if somebody does.
pub(super) fn observe(
    lease: &impl Lease,
    at: &'static Location<'static>,
    statement: impl FnOnce(bool) -> Statement,
) -> ObservedQuery {
    ObservedQuery::begin(lease.checkout().and_then(Checkout::query_subject), at, statement)
}

/// The query is about to be run again on `lease`.
pub(super) fn run_again(lease: &impl Lease, observed: &mut ObservedQuery) {
    observed.run_again(lease.checkout().map(Checkout::settings));
}

/// The tags of the query, whose span is that of `observed`. What listens to the query is told its text without them.
pub(super) fn tags(lease: &impl Lease, observed: &ObservedQuery) -> Option<QueryTags> {
    let checkout = lease.checkout()?;
    observed.in_span(|| checkout.sql_tags())
}

/// All rows.
async fn all_rows<'q, L, Q, U>(query: Q, lease: &mut L) -> QueryResult<Vec<U>>
where
    L: Lease,
    Q: LoadQuery<'q, L::Connection, U> + Send + 'q,
    U: Send,
{
    // On a connection of one statement at a time, `note_rows_read` suffices: as long as it is not called, the connection is
    // checked before it is lent again. Here, another statement's call may come first.
    let mut open = OpenRows::new(lease.checkout().filter(|_| lease.is_shared()));
    let rows = query.internal_load(lease.connection()).await?;
    open.begin();
    let rows = rows.try_collect().await;
    if !matches!(rows, Err(DieselError::DeserializationError(_))) {
        open.end();
    }
    rows
}
