//! Which statements belong to an observed query, or are this crate's own.
//!
//! The instrumentation of a connection sees each statement, in the poll of the future that sends it. So a query marks
//! its thread while its future is polled: what the instrumentation sees meanwhile is a part of the query, and no query of its
//! own. On one connection several queries may be under way (a pipeline), so a mark on the connection would not tell them
//! apart.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;

use tracing::Span;

thread_local! {
    static IS_ATTRIBUTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the statement that is reported now belongs to an observed query, or is the engine's own.
pub(crate) fn is_attributed() -> bool {
    IS_ATTRIBUTED.get()
}

/// Marks the thread until it is dropped.
struct Mark {
    before: bool,
}

impl Mark {
    fn set() -> Self {
        Self { before: IS_ATTRIBUTED.replace(true) }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        IS_ATTRIBUTED.set(self.before);
    }
}

/// Runs `future`, whose statements belong to an observed query, in the query's span.
pub(crate) async fn attributed<F: Future>(span: Option<&Span>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _mark = Mark::set();
        let _entered = span.map(Span::enter);
        future.as_mut().poll(cx)
    })
    .await
}

/// Runs `future`, whose statements are this crate's own and nobody's query.
pub(crate) async fn own<F: Future>(future: F) -> F::Output {
    attributed(None, future).await
}
