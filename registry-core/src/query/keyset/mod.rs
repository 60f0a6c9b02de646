//! Pages by key: the rows after the key of a row. See [`paginate`](super::paginate).
//!
//! | file | content |
//! |---|---|
//! | `cursor.rs` | the position of a row, as a text for clients |
//! | `order.rs` | the columns that rows are ordered by, and the condition for the rows after a key |
//! | `load.rs` | the query, and the page that it returns |

mod cursor;
mod load;
mod order;

pub use cursor::{Cursor, InvalidCursor};
pub use load::{CursorPage, Keyset, UnusableKeys};
#[cfg(all(test, feature = "sqlite"))]
pub(in crate::query) use order::AfterKey;
pub use order::{KeysetOrder, NotNullKey, SortKey};
