//! How many rows are handed over at once.

use diesel::QueryResult;
use diesel::SqliteConnection;
use diesel::connection::LoadConnection;
use diesel::row::{Field, IntoOwnedRow, Row as _};
use diesel::sqlite::{Sqlite, SqliteType};

/// The limits of a batch: this number of rows, or this number of bytes of text and blobs, plus one row. A smaller result is
/// sent in one message, because waking a task costs more than a row.
const MAX_ROWS: usize = 256;
const MAX_BYTES: usize = 256 * 1024;

/// A row that was copied out of its statement.
pub(super) type Row =
    <<SqliteConnection as LoadConnection>::Row<'static, 'static> as IntoOwnedRow<
        'static,
        Sqlite,
    >>::OwnedRow;

#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<QueryResult<Row>>,
    bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, row: Row) {
        self.bytes += size(&row);
        self.rows.push(Ok(row));
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS || self.bytes >= MAX_BYTES
    }
}

/// The bytes of text and blobs in a row.
fn size(row: &Row) -> usize {
    let columns = (0..row.field_count()).filter_map(|column| {
        let field = row.get(column)?;
        let mut value = field.value()?;
        match value.value_type() {
            // Each value is read in its own form: reading it in the other form would copy it.
            Some(SqliteType::Text) => Some(value.read_text().len()),
            Some(SqliteType::Binary) => Some(value.read_blob().len()),
            _ => None,
        }
    });
    columns.sum()
}
