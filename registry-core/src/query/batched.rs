//! Statements on many rows, sent in as many statements as the database needs.

use std::fmt;
use std::num::NonZeroUsize;

use diesel::query_builder::InsertStatement;
use diesel::{Insertable, Table};

/// Inserts any number of rows.
pub trait InsertBatchedDsl: Table + Copy {
    /// An insert of all rows into this table, to be run with [`execute`](super::RunQueryDsl::execute).
    ///
    /// A database takes a limited number of bind variables in a statement: 65,535 on PostgreSQL and MySQL, 32,766 on
    /// SQLite. So the rows are sent in as many statements as needed, on one connection. If there are several statements,
    /// they are in one transaction (a savepoint, if one is open): all rows are inserted, or none. `execute` returns the
    /// number of all inserted rows. For no rows, nothing is sent.
    ///
    /// [`batched`] does the same for other statements on many rows, such as an insert with `on_conflict`. For a table that
    /// is not bound, add `.bound_to::<Model>()`.
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use registry_core::{BindDsl, InsertBatchedDsl, Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, what -> Text, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    /// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    /// let rows: Vec<_> = (0..1000).map(|id| (events::id.eq(id), events::what.eq("log-in"))).collect();
    /// assert_eq!(events::table.insert_batched(&rows).execute(&registry).await?, 1000);
    /// # Ok(())
    /// # }
    /// ```
    fn insert_batched<'r, R: RowOf<'r, Self>>(self, rows: &'r [R]) -> InsertBatched<'r, Self, R> {
        InsertBatched { table: self, rows, most_rows: None }
    }
}

impl<T: Table + Copy> InsertBatchedDsl for T {}

/// A row that can be inserted into the table `T`: an `Insertable` model, or a tuple of assignments to columns.
// As a bound of its own: with `&[R]: Insertable` in its place, the compiler would look for `R` among all types that can be
// inserted, before it knows the rows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row of the table `{T}`",
    label = "these rows cannot be inserted into this table",
    note = "a row is a model with `#[derive(Insertable)]`, or a tuple such as `(events::id.eq(1), events::what.eq(\"log-in\"))`"
)]
pub trait RowOf<'r, T> {}

impl<'r, R: 'r, T> RowOf<'r, T> for R where &'r [R]: Insertable<T> {}

/// An insert of many rows, made by [`InsertBatchedDsl::insert_batched`].
// The statement is not in this type. If it were, the compiler would look for `R` among all types that can be inserted before
// it knows the rows.
#[must_use = "a statement does nothing until it is run"]
pub struct InsertBatched<'r, T, R> {
    table: T,
    rows: &'r [R],
    most_rows: Option<NonZeroUsize>,
}

impl<'r, T, R> InsertBatched<'r, T, R> {
    /// As [`Batched::rows_per_statement`].
    pub fn rows_per_statement(self, rows: usize) -> Self {
        Self { most_rows: NonZeroUsize::new(rows.max(1)), ..self }
    }

    pub(super) fn into_batched(
        self,
    ) -> Batched<'r, R, InsertStatement<T, <&'r [R] as Insertable<T>>::Values>>
    where
        T: Table + Copy + 'r,
        &'r [R]: Insertable<T>,
    {
        let Self { table, rows, most_rows } = self;
        let batched = batched(rows, move |rows| diesel::insert_into(table).values(rows));
        Batched { most_rows, ..batched }
    }
}

impl<T, R> fmt::Debug for InsertBatched<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertBatched").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

/// A statement on many rows, which is sent in as many statements as the database needs.
///
/// `statement` makes the statement for a part of the rows. As with
/// [`insert_batched`](InsertBatchedDsl::insert_batched), the parts are as large as the database's limit of bind
/// variables allows, all are in one transaction, and [`execute`](super::RunQueryDsl::execute) returns the sum of the
/// affected rows.
///
/// Each statement takes effect before the next one is sent. So PostgreSQL refuses an upsert that has the same row twice
/// only if both are in the same part.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{BindDsl, Registry, RunQueryDsl, batched, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, what -> Text, } }
/// bind_tables!(db = "analytics", backend = Sqlite; events);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let rows: Vec<_> = (0..1000).map(|id| (events::id.eq(id), events::what.eq("log-in"))).collect();
/// let upsert = batched(&rows, |rows| {
///     diesel::insert_into(events::table).values(rows).on_conflict(events::id).do_nothing()
/// });
/// assert_eq!(upsert.execute(&registry).await?, 1000);
/// # Ok(())
/// # }
/// ```
pub fn batched<'r, R, Q>(
    rows: &'r [R],
    statement: impl Fn(&'r [R]) -> Q + 'r,
) -> Batched<'r, R, Q> {
    Batched { rows, statement: Box::new(statement), most_rows: None }
}

/// A statement on many rows, made by [`batched`].
#[must_use = "a statement does nothing until it is run"]
pub struct Batched<'r, R, Q> {
    rows: &'r [R],
    statement: Box<dyn Fn(&'r [R]) -> Q + 'r>,
    most_rows: Option<NonZeroUsize>,
}

impl<'r, R, Q> Batched<'r, R, Q> {
    /// Sends at most `rows` rows in a statement, and no more than the bind variables allow. Zero counts as one.
    ///
    /// For rows with large values: a statement must also fit into the server's memory, and on MySQL into
    /// `max_allowed_packet` (16 MB by default on MariaDB).
    pub fn rows_per_statement(self, rows: usize) -> Self {
        Self { most_rows: NonZeroUsize::new(rows.max(1)), ..self }
    }

    /// Splits the rows, and makes something of the statement of each part. `count` is the number of bind variables of what was
    /// made.
    ///
    /// Rows can differ in their number of variables, because a `None` is written as `DEFAULT`. So the size of a part is
    /// estimated by the part before it, and a part that turns out too large is made again, smaller.
    pub(super) fn split<T>(
        self,
        limit: usize,
        make: impl Fn(Q) -> T,
        count: impl Fn(&T) -> usize,
    ) -> Vec<T> {
        /// The number of rows that are tried first, to learn how many variables a row has.
        const TRIED_ROWS: usize = 64;

        let most_rows = self.most_rows.map_or(usize::MAX, NonZeroUsize::get);
        let mut rest = self.rows;
        let mut size = TRIED_ROWS;
        let mut is_estimated = false;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let len = size.min(most_rows).min(rest.len());
            let part = make((self.statement)(&rest[..len]));
            let variables = count(&part);
            let fitting = match variables {
                0 => usize::MAX,
                variables => len.saturating_mul(limit) / variables,
            };
            if variables > limit && len > 1 {
                size = fitting.clamp(1, len - 1);
            } else if !is_estimated && len < rest.len().min(most_rows) {
                size = fitting.max(len);
            } else {
                parts.push(part);
                rest = &rest[len..];
                size = fitting.max(1);
            }
            is_estimated = true;
        }
        parts
    }
}

impl<R, Q> fmt::Debug for Batched<'_, R, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batched").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the parts of rows with these numbers of variables, and how often a part was made.
    fn split(rows: &[usize], limit: usize, most_rows: Option<usize>) -> (Vec<usize>, usize) {
        let made = std::cell::Cell::new(0);
        let batched = batched(rows, |part: &[usize]| (part.len(), part.iter().sum::<usize>()));
        let batched = match most_rows {
            Some(rows) => batched.rows_per_statement(rows),
            None => batched,
        };
        let make = |part| {
            made.set(made.get() + 1);
            part
        };
        let parts = batched.split(limit, make, |(_, variables)| *variables);
        assert!(parts.iter().all(|(len, variables)| *variables <= limit || *len == 1));
        (parts.into_iter().map(|(len, _)| len).collect(), made.get())
    }

    #[test]
    fn parts_are_as_large_as_the_limit_allows() {
        assert_eq!(split(&[], 10, None), (vec![], 0));
        assert_eq!(split(&[2; 5], 10, None), (vec![5], 1));
        assert_eq!(split(&[2; 6], 10, None), (vec![5, 1], 3));
        assert_eq!(split(&[2; 100], 1000, None), (vec![100], 2));
        assert_eq!(split(&[1; 1000], 300, None), (vec![300, 300, 300, 100], 5));
        assert_eq!(split(&[0; 1000], 10, None), (vec![1000], 2));
        // A row that does not fit is sent alone, and refused.
        assert_eq!(split(&[20, 20], 10, None).0, [1, 1]);
    }

    #[test]
    fn rows_of_different_sizes_fit() {
        let rows: Vec<usize> = (0..1000).map(|at| if at < 500 { 1 } else { 7 }).collect();
        let (parts, _) = split(&rows, 100, None);
        assert_eq!(parts.iter().sum::<usize>(), 1000);
    }

    #[test]
    fn the_number_of_rows_can_be_limited() {
        assert_eq!(split(&[1; 10], 100, Some(4)), (vec![4, 4, 2], 3));
        assert_eq!(split(&[1; 3], 100, Some(0)), (vec![1, 1, 1], 3));
        assert_eq!(split(&[2; 10], 6, Some(4)).0, [3, 3, 3, 1]);
    }
}
