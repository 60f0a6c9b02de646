//! A row on its way to the reader, and the return of its memory.
//!
//! SQLite allocates the values of a row, and counts its memory under one lock of the process. If the reader freed the values
//! on its own thread, it would compete for that lock with the thread that runs the next query, and each of the two would
//! sleep at times. So rows that were read go back, and the thread that runs the connection's next job frees them.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::SqliteConnection;
use diesel::connection::LoadConnection;
use diesel::row::{IntoOwnedRow, PartialRow, Row as DieselRow, RowIndex, RowSealed};
use diesel::sqlite::Sqlite;

/// A row that was copied out of its statement.
pub(super) type CopiedRow =
    <<SqliteConnection as LoadConnection>::Row<'static, 'static> as IntoOwnedRow<
        'static,
        Sqlite,
    >>::OwnedRow;

/// The limits of the memory that a connection keeps until its next job: this number of rows, each with at most this number
/// of bytes of text and blobs. Other rows are freed at once.
const MAX_ROWS: usize = 64;
const MAX_BYTES: usize = 4 * 1024;

/// A row that a query has returned.
#[derive(Debug)]
pub struct Row {
    /// `None` only while it is dropped.
    row: Option<CopiedRow>,
    /// `None` for a row that is too large to be kept.
    recycler: Option<Arc<Recycler>>,
}

impl Row {
    /// `bytes` is the size of its text and blobs.
    pub(super) fn new(row: CopiedRow, bytes: usize, recycler: &Arc<Recycler>) -> Self {
        let recycler = (bytes <= MAX_BYTES).then(|| Arc::clone(recycler));
        Self { row: Some(row), recycler }
    }

    fn row(&self) -> &CopiedRow {
        match &self.row {
            Some(row) => row,
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if let (Some(row), Some(recycler)) = (self.row.take(), &self.recycler) {
            recycler.put(row);
        }
    }
}

impl RowSealed for Row {}

impl<'a> DieselRow<'a, Sqlite> for Row {
    type Field<'field>
        = <CopiedRow as DieselRow<'a, Sqlite>>::Field<'field>
    where
        'a: 'field;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        self.row().field_count()
    }

    fn get<'field, I>(&'field self, index: I) -> Option<Self::Field<'field>>
    where
        'a: 'field,
        Self: RowIndex<I>,
    {
        let index = self.idx(index)?;
        self.row().get(index)
    }

    fn partial_row(&self, range: Range<usize>) -> PartialRow<'_, Self> {
        PartialRow::new(self, range)
    }
}

impl RowIndex<usize> for Row {
    fn idx(&self, index: usize) -> Option<usize> {
        self.row().idx(index)
    }
}

impl<'name> RowIndex<&'name str> for Row {
    fn idx(&self, name: &'name str) -> Option<usize> {
        self.row().idx(name)
    }
}

/// The rows of a connection that were read, until its next job.
#[derive(Default, Debug)]
pub(super) struct Recycler(Mutex<Vec<CopiedRow>>);

impl Recycler {
    fn put(&self, row: CopiedRow) {
        let mut rows = self.lock();
        if rows.len() < MAX_ROWS {
            rows.push(row);
        } else {
            drop(rows);
            drop(row);
        }
    }

    /// Frees the rows that were read.
    pub(super) fn free(&self) {
        let rows = std::mem::take(&mut *self.lock());
        drop(rows);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<CopiedRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use diesel::Connection;

    use super::*;

    /// Rows whose text has this number of bytes.
    fn rows(number: usize, bytes: usize, recycler: &Arc<Recycler>) -> Vec<Row> {
        let mut connection = SqliteConnection::establish(":memory:").expect("in memory");
        let query = diesel::sql_query(format!("SELECT hex(zeroblob({})) AS text", bytes / 2));
        let copied = (0..number).map(|_| {
            let mut found = connection.load(&query).expect("a row");
            let row = found.next().expect("one").expect("a row").into_owned(&mut None);
            Row::new(row, bytes, recycler)
        });
        copied.collect()
    }

    fn kept(recycler: &Recycler) -> usize {
        recycler.lock().len()
    }

    #[test]
    fn rows_that_were_read_are_kept_until_the_next_job_and_no_more_of_them_than_the_limit() {
        let recycler = Arc::default();
        drop(rows(3, 10, &recycler));
        assert_eq!(kept(&recycler), 3);
        recycler.free();
        assert_eq!(kept(&recycler), 0);
        drop(rows(MAX_ROWS + 10, 10, &recycler));
        assert_eq!(kept(&recycler), MAX_ROWS);
    }

    #[test]
    fn large_rows_are_freed_at_once() {
        let recycler = Arc::default();
        let rows = rows(3, MAX_BYTES + 2, &recycler);
        assert_eq!(rows[0].field_count(), 1);
        drop(rows);
        assert_eq!(kept(&recycler), 0);
    }
}
