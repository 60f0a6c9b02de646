//! The query of a keyset, and the page that it returns.

use std::fmt;
use std::panic::Location;

use diesel::dsl::{Filter, Order};
use diesel::expression::SelectableExpression;
use diesel::internal::table_macro::{BoxedSelectStatement, FromClause, SelectStatement};
use diesel::query_builder::{
    AsQuery, LimitOffsetClause, NoLimitClause, NoOffsetClause, NoOrderClause, QueryFragment,
};
use diesel::query_dsl::methods::{FilterDsl, OrderDsl};
use diesel::query_source::QuerySource;
use diesel::result::Error as DieselError;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType};
use diesel_async::methods::LoadQuery;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cursor::{Cursor, InvalidCursor};
use super::order::{AfterKey, ComparesTo, KeysetOrder};
use crate::backend::Backend;
use crate::query::check::Check;
use crate::query::erased::ErasedQuery;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
use crate::query::executor::Unchecked;
use crate::query::executor::{Executor, LenderBackend, OpenedBy, QueryPlace};
use crate::query::on_lease::load_on_lease;
use crate::query::paginate::{Limited, NoPages, PageRequest, read_shape};
use crate::query::retry::query_error;
use crate::query::routing::ByTable;
use crate::query::routing::RouteMarker;
use crate::query::run::Running;
use crate::sql::{Dialect, sql_of};

/// A query whose pages begin after a key, made by [`PaginateDsl::keyset`](crate::query::paginate::PaginateDsl::keyset).
#[must_use = "a page is only loaded by `load`"]
pub struct Keyset<Q, O, K> {
    query: Q,
    order: O,
    after: Option<Cursor<K>>,
    per_page: i64,
}

/// A page of a keyset.
///
/// Serialized, it has the members `items` and `next`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(bound(serialize = "T: Serialize, K: Serialize"))]
#[non_exhaustive]
pub struct CursorPage<T, K> {
    /// The rows, in the order of the keys.
    pub items: Vec<T>,
    /// The position of the last row. `None` if no rows came after it when the page was loaded.
    pub next: Option<Cursor<K>>,
}

impl<T, K> CursorPage<T, K> {
    /// Whether there were more rows after this page when it was loaded.
    #[must_use]
    pub const fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// This page with other items, for example with what a client may see of them.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> CursorPage<U, K> {
        CursorPage { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// The keys of a page cannot be used for the next page.
///
/// Diesel's `QueryBuilderError` contains this error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableKeys {
    /// Two rows have the same key, so that the next page would skip one of them if the page ended between them.
    #[error(
        "two rows of a page have the same key: add a unique column, such as the primary key, to the end of the order"
    )]
    NotUnique,
    /// A key value is not the same after it has been written to a cursor and read again.
    #[error(
        "a key value is not the same after it was serialized and deserialized, as a number that is NaN, so no cursor can have it"
    )]
    NotSerializable,
}

impl From<UnusableKeys> for DieselError {
    fn from(error: UnusableKeys) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

/// A query that can have the order `O` of a keyset: it has no order, limit or lock of its own, and all columns of `O`
/// can be selected from its tables.
///
/// A column of the optional side of a `LEFT JOIN` can be in an `ORDER BY`, but cannot be selected as it is, since it
/// may be `NULL` there.
#[diagnostic::on_unimplemented(
    message = "this query cannot be ordered by these keys: it has an `ORDER BY`, a `LIMIT`, an `OFFSET` or a locking clause of its own, or one of the keys is of the optional side of a `LEFT JOIN`, where it may be `NULL`",
    label = "the keys of a page are the only order of its query, and `per_page` its only limit",
    note = "say the order in `.keyset((events::at.desc(), events::id.desc()))`"
)]
pub trait OrderedByKeys<O, Via> {}

macro_rules! selects {
    ($($(#[$condition:meta])? $via:ty),*) => {$(
        $(#[$condition])?
        impl<F, S, D, W, G, H, O> OrderedByKeys<O, $via>
            for SelectStatement<
                FromClause<F>,
                S,
                D,
                W,
                NoOrderClause,
                LimitOffsetClause<NoLimitClause, NoOffsetClause>,
                G,
                H,
            >
        where
            F: QuerySource,
            O: KeysetOrder<Columns: SelectableExpression<F>>,
        {
        }

        $(#[$condition])?
        impl<F, ST, DB, GB, O> OrderedByKeys<O, $via>
            for BoxedSelectStatement<'_, ST, FromClause<F>, DB, GB>
        where
            F: QuerySource,
            O: KeysetOrder<Columns: SelectableExpression<F>>,
        {
        }
    )*};
}

selects! {
    ByTable,
    #[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))] Unchecked
}

/// The query with the condition and the order of its keys.
type InOrder<Q, O, K> = Order<Filter<<Q as AsQuery>::Query, AfterKey<O, K>>, O>;

impl<Q, O, K> Keyset<Q, O, K> {
    pub(in crate::query) fn new(query: Q, order: O) -> Self {
        Self { query, order, after: None, per_page: PageRequest::PER_PAGE }
    }

    /// The rows after the one that `cursor` is the position of. From the first row without a cursor, or with `None`.
    ///
    /// The row itself may be deleted or changed in the meantime: its position is what counts.
    pub fn after(self, cursor: impl Into<Option<Cursor<K>>>) -> Self {
        Self { after: cursor.into(), ..self }
    }

    /// The largest number of rows on the page. Without this, [20](PageRequest::PER_PAGE). A number below 1 is an
    /// [`InvalidPage`](crate::query::paginate::InvalidPage) in [`load`](Self::load).
    pub fn per_page(self, per_page: i64) -> Self {
        Self { per_page, ..self }
    }

    /// Runs the query and returns the page.
    ///
    /// `key` returns the key values of a row, in the order of the columns: the values that the row has in the database.
    /// One more row than asked for is read, to know whether there is a next page.
    ///
    /// On `&registry` and `&tenant` this waits for a session first. Dropping the future cancels the query, as with
    /// [`RunQueryDsl`](crate::RunQueryDsl).
    ///
    /// # Errors
    ///
    /// Those of the [executor](crate::query). In Diesel's `QueryBuilderError`:
    ///
    /// - an [`InvalidCursor`] if the cursor is of another order, an
    ///   [`InvalidPage`](crate::query::paginate::InvalidPage) if `per_page` is below 1, and a [`NoPages`] if a query in
    ///   a box has an order, a limit or a lock of its own; then nothing is sent;
    /// - an [`UnusableKeys`] if two rows of the page have the same key. Two texts that are equal for the database
    ///   alone, such as `a` and `A` in many collations, are not found.
    #[track_caller]
    pub fn load<'q, U, E, B, Via, F>(self, on: E, key: F) -> Running<'q, CursorPage<U, K>, E::Error>
    where
        Q: AsQuery<Query: FilterDsl<AfterKey<O, K>, Output: OrderDsl<O>>>,
        InOrder<Q, O, K>: AsQuery<SqlType: 'static>,
        E: Executor<<InOrder<Q, O, K> as AsQuery>::Query, B, Via> + 'q,
        B: 'static,
        Via: RouteMarker,
        Q::Query: OrderedByKeys<O, Via> + QueryFragment<LenderBackend<E, B>>,
        <InOrder<Q, O, K> as AsQuery>::Query: QueryFragment<LenderBackend<E, B>> + Send + 'q,
        O: ComparesTo<K, LenderBackend<E, B>> + QueryFragment<LenderBackend<E, B>>,
        K: Serialize + DeserializeOwned + PartialEq + Send + 'q,
        LenderBackend<E, B>: HasSqlType<BigInt>,
        i64: ToSql<BigInt, LenderBackend<E, B>>,
        ErasedQuery<'q, LenderBackend<E, B>, <InOrder<Q, O, K> as AsQuery>::SqlType>:
            LoadQuery<'q, E::Connection, U>,
        F: Fn(&U) -> K + Send + 'q,
        U: Send + 'static,
    {
        let at = Location::caller();
        let Self { query, order, after, per_page } = self;
        let query = query.as_query();
        let dialect = Dialect::of(<OpenedBy<E, B> as Backend>::KIND);
        // Binds are not in it, so it is the same for every query with these keys.
        let mark = mark_of(&sql_of::<LenderBackend<E, B>>(&order));
        let checked = check_request::<LenderBackend<E, B>, K>(
            dialect,
            &query,
            after.as_ref(),
            mark,
            per_page,
        );
        let after = AfterKey::new(after.map(|cursor| cursor.key));
        let query = OrderDsl::order(FilterDsl::filter(query, after), order).as_query();
        // One more row, unless there is no such number.
        let limited = Limited { query, limit: per_page.saturating_add(1), offset: 0 };
        let limited: ErasedQuery<'q, _, <InOrder<Q, O, K> as AsQuery>::SqlType> =
            ErasedQuery::new(limited);
        let (lease, mut again) = on.lease(QueryPlace::of_read(at));
        Running::new(async move {
            checked?;
            let mut lease = lease.await?;
            if let Err(error) = Check::for_lease::<E, B>(&lease).check_query(&limited) {
                return Err(query_error::<E, B>(&mut lease, error).await.into());
            }
            let (_, rows) = load_on_lease::<E, B, _, U>(lease, limited, &mut again, at).await?;
            Ok(page_of(rows, per_page, mark, key).map_err(DieselError::from)?)
        })
    }
}

impl<Q: fmt::Debug, O: fmt::Debug, K: fmt::Debug> fmt::Debug for Keyset<Q, O, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, order, after, per_page } = self;
        f.debug_struct("Keyset")
            .field("query", query)
            .field("order", order)
            .field("after", after)
            .field("per_page", per_page)
            .finish()
    }
}

/// Whether the query can be sent.
fn check_request<DB, K>(
    dialect: Dialect,
    query: &impl QueryFragment<DB>,
    after: Option<&Cursor<K>>,
    mark: u32,
    per_page: i64,
) -> Result<(), DieselError>
where
    DB: diesel::backend::Backend<QueryBuilder: Default> + Default,
{
    PageRequest::new(1, per_page)?;
    if after.is_some_and(|cursor| cursor.mark != mark) {
        return Err(InvalidCursor(()).into());
    }
    if read_shape::<DB>(dialect, query)?.has_order {
        return Err(NoPages::OwnOrder.into());
    }
    Ok(())
}

/// The page of these rows, which are one more than the page has if there is a next page.
fn page_of<T, K>(
    mut rows: Vec<T>,
    per_page: i64,
    mark: u32,
    key: impl Fn(&T) -> K,
) -> Result<CursorPage<T, K>, UnusableKeys>
where
    K: Serialize + DeserializeOwned + PartialEq,
{
    let keys: Vec<K> = rows.iter().map(key).collect();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(UnusableKeys::NotUnique);
    }
    let per_page = usize::try_from(per_page).unwrap_or(usize::MAX);
    if rows.len() <= per_page {
        return Ok(CursorPage { items: rows, next: None });
    }
    rows.truncate(per_page);
    let next = keys.into_iter().nth(per_page - 1).map(|key| Cursor { mark, key });
    if next.as_ref().is_some_and(|cursor| !cursor.survives()) {
        return Err(UnusableKeys::NotSerializable);
    }
    Ok(CursorPage { items: rows, next })
}

/// A hash of the order, so that a cursor of another order is told from one of this order (FNV-1a, with 32 bits). It
/// stays the same over versions of the program and of this crate.
fn mark_of(order: &str) -> u32 {
    order.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay_the_same() {
        assert_eq!(mark_of(""), 0x811c_9dc5);
        assert_eq!(mark_of("a"), 0xe40c_292c);
        assert_eq!(mark_of("foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_page_ends_with_the_last_row_that_is_on_it() {
        let page = |rows: Vec<i32>| page_of(rows, 2, 7, |row| *row);
        assert_eq!(page(vec![]), Ok(CursorPage { items: vec![], next: None }));
        assert_eq!(page(vec![1, 2]), Ok(CursorPage { items: vec![1, 2], next: None }));
        let next = Some(Cursor { mark: 7, key: 2 });
        assert_eq!(page(vec![1, 2, 3]), Ok(CursorPage { items: vec![1, 2], next }));
        assert_eq!(page(vec![1, 2, 2]), Err(UnusableKeys::NotUnique));
    }

    #[test]
    fn a_key_that_no_cursor_can_have_is_an_error() {
        let page = page_of(vec![f64::NAN, 1.0], 1, 7, |row| *row);
        assert_eq!(page, Err(UnusableKeys::NotSerializable));
    }
}
