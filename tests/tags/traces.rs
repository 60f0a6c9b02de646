//! Spans, as far as tags need them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A tracing library that makes a new span each time.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(crate) are_sampled: AtomicBool,
    count: AtomicU64,
}

impl Spans {
    pub(crate) fn traceparent(&self) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let flags = u8::from(self.are_sampled.load(Ordering::Relaxed));
        format!("00-0af7651916cd43dd8448eb211c80319c-{number:016x}-{flags:02x}")
    }
}
