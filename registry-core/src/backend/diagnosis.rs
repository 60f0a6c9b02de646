//! What the errors of Diesel mean that a caller has in hand.
//!
//! Diesel's error has no code of the database, and `?` turns it into an [`Error`](crate::Error) where no connection is
//! at hand that could be asked. So each connection keeps what is known of its last error, and the conversion finds
//! that by the place of the error's information, which stays where it is on the heap however often the error is moved.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use diesel::result::Error;

use super::observed::ErrorClass;

/// What an error means, once that is known: MySQL is asked for its code after the error has been returned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diagnosis(Arc<OnceLock<ErrorClass>>);

impl Diagnosis {
    pub(crate) fn class(&self) -> Option<ErrorClass> {
        self.0.get().copied()
    }

    pub(crate) fn set(&self, class: ErrorClass) {
        // What was known first was known closer to the error.
        let _ = self.0.set(class);
    }
}

/// The last error of each connection, by its place. Another error at the same place, when this one is gone, has
/// another text; and one that says the same means the same.
static LAST_ERRORS: Mutex<BTreeMap<usize, (u64, Diagnosis)>> = Mutex::new(BTreeMap::new());

fn last_errors() -> MutexGuard<'static, BTreeMap<usize, (u64, Diagnosis)>> {
    LAST_ERRORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the information of an error is, and what it says.
fn place(error: &Error) -> Option<(usize, u64)> {
    let Error::DatabaseError(_, information) = error else { return None };
    let mut text = DefaultHasher::new();
    information.message().hash(&mut text);
    Some((std::ptr::from_ref(&**information).cast::<()>().addr(), text.finish()))
}

/// The last error of a connection. It is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct LastError {
    place: usize,
    text: u64,
    diagnosis: Diagnosis,
}

impl LastError {
    pub(crate) fn new(error: &Error) -> Option<Self> {
        let (place, text) = place(error)?;
        let diagnosis = Diagnosis::default();
        last_errors().insert(place, (text, diagnosis.clone()));
        Some(Self { place, text, diagnosis })
    }

    pub(crate) fn is(&self, error: &Error) -> bool {
        place(error) == Some((self.place, self.text))
    }

    pub(crate) fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }
}

impl Drop for LastError {
    fn drop(&mut self) {
        let mut last_errors = last_errors();
        let is_own = |(_, other): &(u64, Diagnosis)| Arc::ptr_eq(&other.0, &self.diagnosis.0);
        if last_errors.get(&self.place).is_some_and(is_own) {
            last_errors.remove(&self.place);
        }
    }
}

/// What is known, or is going to be, of an error that is the last one of a connection.
pub(crate) fn of(error: &Error) -> Option<Diagnosis> {
    let (place, text) = place(error)?;
    let last_errors = last_errors();
    last_errors.get(&place).filter(|(other, _)| *other == text).map(|(_, found)| found.clone())
}

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorKind;

    use super::*;

    fn error(text: &str) -> Error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned()))
    }

    #[test]
    fn an_error_is_found_wherever_it_was_moved() {
        let error = error("deadlock detected");
        let last = LastError::new(&error).expect("one of a database");
        let moved = Box::new(error);
        assert!(last.is(&moved));
        let found = of(&moved).expect("it is the last one");
        assert_eq!(found.class(), None, "nobody has asked yet");
        last.diagnosis().set(ErrorClass::Transient);
        assert_eq!(found.class(), Some(ErrorClass::Transient));
        drop(last);
        assert!(of(&moved).is_none());
        assert_eq!(found.class(), Some(ErrorClass::Transient), "whoever has found it keeps it");
    }

    #[test]
    fn another_error_is_not_taken_for_it() {
        let (one, other) = (error("deadlock detected"), error("deadlock detected"));
        let _last = LastError::new(&one).expect("one of a database");
        assert!(of(&other).is_none());
        assert!(of(&Error::NotFound).is_none());
    }
}
