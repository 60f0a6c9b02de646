//! How many rows are handed over at once.

use std::sync::Arc;

use diesel::QueryResult;
use diesel::row::{Field, Row as _};
use diesel::sqlite::SqliteType;

use super::row::{CopiedRow, Recycler, Row};

/// The limits of a batch: this number of rows, or this number of bytes of text and blobs, plus one row. A smaller result is
/// sent in one message, because waking a task costs more than a row.
const MAX_ROWS: usize = 256;
const MAX_BYTES: usize = 256 * 1024;

pub(super) struct Batch {
    pub(super) rows: Vec<QueryResult<Row>>,
    bytes: usize,
    recycler: Arc<Recycler>,
}

impl Batch {
    pub(super) fn new(recycler: &Arc<Recycler>) -> Self {
        Self { rows: Vec::new(), bytes: 0, recycler: Arc::clone(recycler) }
    }

    pub(super) fn push(&mut self, row: CopiedRow) {
        let bytes = size(&row);
        self.bytes += bytes;
        self.rows.push(Ok(Row::new(row, bytes, &self.recycler)));
    }

    /// The rows so far. The next row begins another batch.
    pub(super) fn take(&mut self) -> Vec<QueryResult<Row>> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS || self.bytes >= MAX_BYTES
    }
}

/// The bytes of text and blobs in a row.
fn size(row: &CopiedRow) -> usize {
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
