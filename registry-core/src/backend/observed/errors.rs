//! The classes of the server's errors.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::backend::error_class::{ErrorClass, RememberedText};

/// The number of errors that are kept for a connection. More than one, because a rollback to a savepoint may fail after the
/// error that led to it.
pub(crate) const ERRORS_KEPT: usize = 4;

/// The errors of one connection.
#[derive(Debug, Default)]
pub(crate) struct ObservedErrors {
    /// The class of the last error, or [`NO_ERROR`].
    last: AtomicU8,
    /// The classes of the errors since [`ObservedErrors::take_new`], one bit each.
    new: AtomicU8,
    /// The texts of the last [`ERRORS_KEPT`] errors, for callers that have an error without its code.
    texts: Mutex<VecDeque<RememberedText>>,
    fatal_message: Mutex<Option<String>>,
}

const NO_ERROR: u8 = 0;

impl ObservedErrors {
    /// The class of the last error that the server has sent.
    pub(crate) fn last(&self) -> Option<ErrorClass> {
        let last = self.last.load(Relaxed);
        ErrorClass::ALL.into_iter().find(|class| *class as u8 == last)
    }

    pub(crate) fn forget_last(&self) {
        self.last.store(NO_ERROR, Relaxed);
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn note(&self, class: ErrorClass) {
        self.last.store(class as u8, Relaxed);
        self.new.fetch_or(class.bit(), Relaxed);
    }

    /// Records the text that the server sent with the code of an error.
    pub(crate) fn remember_text(&self, message: &str, class: ErrorClass) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.len() == ERRORS_KEPT {
            texts.pop_front();
        }
        texts.push_back(RememberedText::new(message, class));
    }

    /// The classes of the errors since this was last called. An error among the rows of a statement comes after the
    /// driver has reported the end of that statement, so it is found here later.
    pub(crate) fn take_new(&self) -> impl Iterator<Item = ErrorClass> + use<> {
        let new = match self.new.load(Relaxed) {
            0 => 0,
            _ => self.new.swap(0, Relaxed),
        };
        ErrorClass::ALL.into_iter().filter(move |class| new & class.bit() != 0)
    }

    /// The message of the `FATAL` or `PANIC` error with which the server has ended the connection.
    pub(crate) fn fatal_message(&self) -> Option<String> {
        self.fatal_message.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(feature = "postgres")]
    pub(in crate::backend) fn note_fatal_message(&self, message: String) {
        *self.fatal_message.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }
}
