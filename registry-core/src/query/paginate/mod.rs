//! Pages of rows: by number with a total, and by key.
//!
//! [`PaginateDsl`] adds two methods to queries.
//!
//! | | [`.paginate(page)`](PaginateDsl::paginate) | [`.keyset(order)`](PaginateDsl::keyset) |
//! |---|---|---|
//! | asks for | the page with a number | the rows after a [`Cursor`] |
//! | result | [`Page`], with the total and the number of pages | [`CursorPage`], with the cursor of the next page |
//! | statements | two at most | one |
//! | a row is inserted or deleted before the page | all rows move: one is seen twice, or not at all | no row is seen twice or skipped |
//! | the database reads | all rows up to the page, and counts all | with an index on the keys, only the rows of the page |
//!
//! A page has no meaning if the rows have no order: the database may return them in another order for each page. So a
//! query without `ORDER BY` does not compile with `paginate`, and the order of a keyset has to be one that no two rows
//! share. What is in a box (`into_boxed()`, `.bound_to::<Model>()`) is looked for in its SQL before it is sent, and is
//! an error then, a [`NoPages`].

mod limited;
mod page;
mod paginated;
mod request;
mod shape;
mod shared;

pub use super::keyset::{
    Cursor, CursorPage, InvalidCursor, Keyset, KeysetOrder, NotNullKey, SortKey, UnusableKeys,
};
#[cfg(all(test, feature = "sqlite"))]
pub(super) use limited::Counted;
pub(super) use limited::Limited;
pub use page::Page;
pub use paginated::{Paginated, PaginatesBy};
pub use request::{InvalidPage, PageRequest};
pub use shape::NoPages;
pub(super) use shape::read_shape;
#[cfg(all(test, feature = "sqlite"))]
pub(super) use shared::Shared;

/// Pages of a query.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::query::paginate::{PageRequest, PaginateDsl};
/// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
///
/// diesel::table! { users (id) { id -> Integer, name -> Text, } }
/// bind_tables!(db = "default", backend = Sqlite; users);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)";
/// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
/// for name in ["Ada", "Bob", "Eve"] {
///     diesel::insert_into(users::table).values(users::name.eq(name)).execute(&registry).await?;
/// }
/// let by_name = users::table.select(users::name).order((users::name, users::id));
/// let page = by_name.paginate(PageRequest::new(2, 2)?).load::<String>(&registry).await?;
/// assert_eq!(page.items, ["Eve"]);
/// assert_eq!((page.total, page.pages(), page.has_next()), (3, 2, false));
/// # Ok(())
/// # }
/// ```
pub trait PaginateDsl: Sized {
    /// The page with this number, with the total.
    ///
    /// The query needs an `ORDER BY` that no two rows share, so end it with the primary key. It must not have a
    /// `LIMIT`, an `OFFSET` or a locking clause of its own. Run it with [`Paginated::load`].
    fn paginate<E, B, Via>(self, page: PageRequest) -> Paginated<Self, E, B, Via> {
        Paginated::new(self, page)
    }

    /// The rows after a position in this order, without a total.
    ///
    /// `order` is a column with `.asc()` or `.desc()`, or a tuple of up to four of them. Together they have to be
    /// unique, so the last one is mostly the primary key. A column that can be `NULL` does not compile, because the
    /// databases disagree on where `NULL` stands. The query must not have an `ORDER BY`, a `LIMIT`, an `OFFSET` or a
    /// locking clause of its own. Go on with [`Keyset::after`] and [`Keyset::load`].
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use registry_core::query::paginate::{Cursor, PaginateDsl};
    /// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, at -> BigInt, } }
    /// bind_tables!(db = "default", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, at BIGINT NOT NULL)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// for at in [20, 10, 20] {
    ///     diesel::insert_into(events::table).values(events::at.eq(at)).execute(&registry).await?;
    /// }
    /// let mut cursor: Option<Cursor<(i64, i32)>> = None;
    /// let mut ids = Vec::new();
    /// loop {
    ///     let page = events::table
    ///         .keyset((events::at.desc(), events::id.desc()))
    ///         .after(cursor)
    ///         .per_page(2)
    ///         .load(&registry, |(id, at): &(i32, i64)| (*at, *id))
    ///         .await?;
    ///     ids.extend(page.items.iter().map(|(id, _)| *id));
    ///     let Some(next) = page.next else { break };
    ///     // What a client sees and sends back.
    ///     cursor = Some(next.to_string().parse()?);
    /// }
    /// assert_eq!(ids, [3, 1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    fn keyset<O, K>(self, order: O) -> Keyset<Self, O, K> {
        Keyset::new(self, order)
    }
}

impl<Q> PaginateDsl for Q {}
