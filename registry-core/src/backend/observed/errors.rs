//! The classes of the server's errors.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::result::Error;

use crate::backend::error_class::{ErrorClass, RememberedText, text_hash};

/// The number of errors that are kept for a connection. More than one, because all statements of a pipeline may fail before
/// the program looks at the first error, and because a rollback to a savepoint may fail after the error that led to it.
pub(crate) const ERRORS_KEPT: usize = 64;

/// The errors of one connection.
#[derive(Debug, Default)]
pub(crate) struct ObservedErrors {
    /// The classes of the last [`ERRORS_KEPT`] errors that the server has sent, each with the hash of its text.
    classes: Mutex<VecDeque<(u64, ErrorClass)>>,
    /// The classes of the errors since [`ObservedErrors::take_new`], one bit each.
    new: AtomicU8,
    /// The texts of the last [`ERRORS_KEPT`] errors, for callers that have an error without its code.
    texts: Mutex<VecDeque<RememberedText>>,
    fatal_message: Mutex<Option<String>>,
    /// Whether a statement has failed because of a lock of another session since [`ObservedErrors::take_lock_conflict`].
    has_lock_conflict: AtomicBool,
}

impl ObservedErrors {
    /// The class of an error that was returned, according to the code with which the server has sent it.
    ///
    /// The error is found by its text and not by its place among the others: the errors of several statements may have
    /// arrived before the first of them is returned. `None` if the server has sent no such error, or if it has sent the
    /// same text with codes of different classes.
    pub(crate) fn class_of(&self, error: &Error) -> Option<ErrorClass> {
        let Error::DatabaseError(_, information) = error else { return None };
        let classes = self.classes();
        if classes.is_empty() {
            return None;
        }
        let text_hash = text_hash(information.message());
        let mut found = classes.iter().filter(|(hash, _)| *hash == text_hash);
        let (_, class) = found.next()?;
        found.all(|(_, other)| other == class).then_some(*class)
    }

    fn classes(&self) -> MutexGuard<'_, VecDeque<(u64, ErrorClass)>> {
        self.classes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an error that the server has sent.
    #[cfg(feature = "postgres")]
    pub(crate) fn note(&self, class: ErrorClass, message: &str) {
        let noted = (text_hash(message), class);
        let mut classes = self.classes();
        // A text is kept once, so that the error that has aborted a transaction is not pushed out by those that only say so.
        classes.retain(|other| *other != noted);
        if classes.len() == ERRORS_KEPT {
            classes.pop_front();
        }
        classes.push_back(noted);
        drop(classes);
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

    /// Records that a statement has failed because another session has a lock.
    #[cfg(feature = "postgres")]
    pub(crate) fn note_lock_conflict(&self) {
        self.has_lock_conflict.store(true, Relaxed);
    }

    /// Whether a statement has failed because of a lock of another session since this was last called.
    pub(crate) fn take_lock_conflict(&self) -> bool {
        self.has_lock_conflict.swap(false, Relaxed)
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
