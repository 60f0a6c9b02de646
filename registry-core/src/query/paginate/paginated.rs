//! A page by its number.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

use diesel::internal::table_macro::{BoxedSelectStatement, SelectStatement};
use diesel::query_builder::{
    AsQuery, LimitOffsetClause, NoLimitClause, NoOffsetClause, OrderClause, QueryFragment,
};
use diesel::result::Error as DieselError;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType};
use diesel_async::methods::LoadQuery;

use super::limited::{Counted, Limited};
use super::page::Page;
use super::request::PageRequest;
use super::shape::{NoPages, read_shape};
use super::shared::Shared;
use crate::backend::Backend;
use crate::query::check::Check;
use crate::query::erased::ErasedQuery;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
use crate::query::executor::Unchecked;
use crate::query::executor::{Executor, LenderBackend, OpenedBy, QueryPlace};
use crate::query::on_lease::load_on_lease;
use crate::query::retry::query_error;
use crate::query::routing::RouteMarker;
use crate::query::routing::{ByBoundTo, ByCombination, ByTable};
use crate::query::run::Running;
use crate::sql::Dialect;

/// A page of a query, made by [`PaginateDsl::paginate`](super::PaginateDsl::paginate).
///
/// The compiler infers all type parameters but the first one from [`load`](Self::load).
#[must_use = "a page is only loaded by `load`"]
pub struct Paginated<Q, E, B, Via> {
    query: Q,
    page: PageRequest,
    on: PhantomData<fn(E) -> (B, Via)>,
}

/// A query that has pages: it has an `ORDER BY`, and no `LIMIT`, `OFFSET` or locking clause of its own.
///
/// The compiler looks at selects. What is in a box, in a `UNION` or in a query with `.bound_to::<Model>()` is looked
/// for in its SQL when the query is run.
#[diagnostic::on_unimplemented(
    message = "this query has no pages: it has no `ORDER BY`, or it has a `LIMIT`, an `OFFSET` or a locking clause of its own",
    label = "needs an order that no two rows share, such as `.order(users::id)`, and nothing that limits or locks its rows",
    note = "without an order the database may return the rows in another order for each page"
)]
pub trait PaginatesBy<Via> {}

impl<F, S, D, W, O, G, H> PaginatesBy<ByTable>
    for SelectStatement<
        F,
        S,
        D,
        W,
        OrderClause<O>,
        LimitOffsetClause<NoLimitClause, NoOffsetClause>,
        G,
        H,
    >
{
}

impl<F, ST, DB, GB> PaginatesBy<ByTable> for BoxedSelectStatement<'_, ST, F, DB, GB> {}

impl<Q> PaginatesBy<ByCombination> for Q {}

impl<Q> PaginatesBy<ByBoundTo> for Q {}

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
impl<Q> PaginatesBy<Unchecked> for Q {}

impl<Q, E, B, Via> Paginated<Q, E, B, Via> {
    pub(super) fn new(query: Q, page: PageRequest) -> Self {
        Self { query, page, on: PhantomData }
    }

    /// Runs the query for this page, counts all its rows, and returns both.
    ///
    /// The page is loaded first. If it is the last page and not full, its rows give the total, and nothing is counted.
    /// Otherwise a second statement counts the rows, on the same connection. Rows that are committed between the two
    /// statements are in the total and not on the page; in a transaction with repeatable reads, both see the same rows.
    /// The total is right for a page beyond the last one as well, which is empty.
    ///
    /// On `&registry` and `&tenant` this waits for a session first. Dropping the future cancels the query, as with
    /// [`RunQueryDsl`](crate::RunQueryDsl).
    ///
    /// # Errors
    ///
    /// Those of the [executor](crate::query). A [`NoPages`] if a query in a box has no order, or a limit of its own;
    /// then nothing is sent.
    #[track_caller]
    pub fn load<'q, U>(self, on: E) -> Running<'q, Page<U>, E::Error>
    where
        Q: AsQuery<SqlType: 'static>,
        E: Executor<Q::Query, B, Via> + 'q,
        B: 'static,
        Via: RouteMarker,
        Q::Query: PaginatesBy<Via> + QueryFragment<LenderBackend<E, B>> + Send + 'q,
        LenderBackend<E, B>: HasSqlType<BigInt>,
        i64: ToSql<BigInt, LenderBackend<E, B>>,
        ErasedQuery<'q, LenderBackend<E, B>, Q::SqlType>: LoadQuery<'q, E::Connection, U>,
        ErasedQuery<'q, LenderBackend<E, B>, BigInt>: LoadQuery<'q, E::Connection, i64>,
        U: Send + 'static,
    {
        let at = Location::caller();
        let Self { query, page, .. } = self;
        let query = query.as_query();
        let backend = <OpenedBy<E, B> as Backend>::KIND;
        let shape = read_shape::<LenderBackend<E, B>>(Dialect::of(backend), &query)
            .and_then(|shape| if shape.has_order { Ok(shape) } else { Err(NoPages::NoOrder) });
        let (query, slot) = Shared::new(query);
        let limited = Limited { query, limit: page.per_page(), offset: page.offset() };
        let limited: ErasedQuery<'q, _, Q::SqlType> = ErasedQuery::new(limited);
        let (lease, mut again) = on.lease(QueryPlace::of_read(at));
        Running::new(async move {
            let columns = shape.map_err(DieselError::from)?.columns;
            let mut lease = lease.await?;
            if let Err(error) = Check::for_lease::<E, B>(&lease).check_query(&limited) {
                return Err(query_error::<E, B>(&mut lease, error).await.into());
            }
            let (lease, items) =
                load_on_lease::<E, B, _, U>(lease, limited, &mut again, at).await?;
            let seen = i64::try_from(items.len()).unwrap_or(i64::MAX);
            if let Some(total) = total_without_count(page, seen) {
                return Ok(Page::new(page, items, total));
            }
            let Some(query) = slot.take() else {
                let error = "the query is still in use after its rows have been read";
                return Err(DieselError::QueryBuilderError(error.into()).into());
            };
            let counted = ErasedQuery::new(Counted { query, backend, columns });
            let (_, counts) =
                load_on_lease::<E, B, BigInt, i64>(lease, counted, &mut again, at).await?;
            let total = counts.first().copied().unwrap_or_default();
            Ok(Page::new(page, items, total.max(least_total(page, seen))))
        })
    }
}

impl<Q: fmt::Debug, E, B, Via> fmt::Debug for Paginated<Q, E, B, Via> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, page, .. } = self;
        f.debug_struct("Paginated").field("query", query).field("page", page).finish()
    }
}

/// The total, if a page with `seen` rows tells it: it is the last page. An empty page after the first one does not tell
/// where the rows end.
fn total_without_count(page: PageRequest, seen: i64) -> Option<i64> {
    let is_last = seen < page.per_page() && (seen > 0 || page.page() == 1);
    is_last.then(|| page.offset() + seen)
}

/// The least total that a page with `seen` rows can have. Rows that are deleted after the page is loaded are not
/// counted, and are on the page.
fn least_total(page: PageRequest, seen: i64) -> i64 {
    if seen > 0 { page.offset() + seen } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(page: i64) -> PageRequest {
        PageRequest::new(page, 10).expect("a page")
    }

    #[test]
    fn a_page_that_is_not_full_tells_the_total() {
        assert_eq!(total_without_count(page(1), 0), Some(0));
        assert_eq!(total_without_count(page(3), 1), Some(21));
        assert_eq!(total_without_count(page(1), 10), None);
        assert_eq!(total_without_count(page(3), 0), None);
    }

    #[test]
    fn the_total_is_never_less_than_the_page_shows() {
        assert_eq!([least_total(page(2), 10), least_total(page(2), 0)], [20, 0]);
        let last = PageRequest::new(i64::MAX, 1).expect("a page");
        assert_eq!(least_total(last, 1), i64::MAX);
    }
}
