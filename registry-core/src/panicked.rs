//! A panic in code of the program, as an error.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;

/// The code that was called has panicked, with that message.
#[derive(Debug, thiserror::Error)]
#[error("the code that was called panicked: {0}")]
pub(crate) struct Panicked(String);

impl Panicked {
    fn new(payload: &(dyn Any + Send)) -> Self {
        Self(panic_message(payload).to_owned())
    }
}

/// The message that code has panicked with.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

/// The result of `work`. If it panics, that is the error, and what it works on is dropped with it.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let caught = AssertUnwindSafe(work).catch_unwind().await;
    caught.map_err(|payload| {
        let panicked = Panicked::new(&*payload);
        // The payload may panic when it is dropped, and so may the payload of that panic, which is therefore leaked.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(another);
        }
        panicked
    })
}
