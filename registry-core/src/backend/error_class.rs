//! What the errors of Diesel mean that a caller has in hand.
//!
//! Diesel's error has no code of the database, and `?` turns it into an [`Error`](crate::Error) where no connection is
//! at hand that could be asked. So each connection keeps what is known of its last errors, and the conversion finds
//! that by the place of the error's information, which stays where it is on the heap however often the error is moved.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use diesel::result::{DatabaseErrorKind, Error};

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

/// The last errors of each connection, by their places. Another error at the same place, when this one is gone, has
/// another text; and one that says the same means the same.
static LAST_ERRORS: Mutex<BTreeMap<usize, (u64, Diagnosis)>> = Mutex::new(BTreeMap::new());

fn last_errors() -> MutexGuard<'static, BTreeMap<usize, (u64, Diagnosis)>> {
    LAST_ERRORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the information of an error is, and what it says.
fn place(error: &Error) -> Option<(usize, u64)> {
    let Error::DatabaseError(_, information) = error else { return None };
    let place = std::ptr::from_ref(&**information).cast::<()>().addr();
    Some((place, hash(information.message())))
}

/// One of the last errors of a connection. It is forgotten when this is dropped.
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

/// What is known, or is going to be, of an error that is one of the last of a connection.
pub(crate) fn of(error: &Error) -> Option<Diagnosis> {
    let (place, text) = place(error)?;
    let last_errors = last_errors();
    last_errors.get(&place).filter(|(other, _)| *other == text).map(|(_, found)| found.clone())
}

/// What the codes of the last errors of each connection mean, by the text that the server sent with the code. An error
/// among the rows of a statement comes to its reader past everything that could note its place.
static SAID: Mutex<BTreeMap<u64, Vec<(usize, ErrorClass)>>> = Mutex::new(BTreeMap::new());

/// One of the last errors that a server has sent on a connection. It is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Said {
    text: u64,
    number: usize,
}

fn said() -> MutexGuard<'static, BTreeMap<u64, Vec<(usize, ErrorClass)>>> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(message: &str) -> u64 {
    let mut text = DefaultHasher::new();
    message.hash(&mut text);
    text.finish()
}

impl Said {
    pub(crate) fn new(message: &str, class: ErrorClass) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);

        let (text, number) = (hash(message), COUNT.fetch_add(1, Ordering::Relaxed));
        said().entry(text).or_default().push((number, class));
        Self { text, number }
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        let mut said = said();
        if let Some(all) = said.get_mut(&self.text) {
            all.retain(|(number, _)| *number != self.number);
            if all.is_empty() {
                said.remove(&self.text);
            }
        }
    }
}

/// What an error means by the codes with which servers have last sent its text, if they agree.
pub(crate) fn by_text(error: &Error) -> Option<ErrorClass> {
    // Any other kind says it by itself.
    let Error::DatabaseError(DatabaseErrorKind::Unknown, information) = error else { return None };
    let said = said();
    let all = said.get(&hash(information.message()))?;
    let (_, class) = all.first()?;
    all.iter().all(|(_, other)| other == class).then_some(*class)
}

/// Whether what failed with `error` may succeed a little later.
pub(crate) fn is_transient(class: Option<ErrorClass>, error: &Error) -> bool {
    use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UnableToSendCommand};

    let class = class.or_else(|| of(error)?.class()).or_else(|| by_text(error));
    match (class, error) {
        (Some(class), _) => class.is_transient(),
        (
            None,
            Error::DatabaseError(ClosedConnection | SerializationFailure | UnableToSendCommand, _),
        ) => true,
        // SQLITE_BUSY and SQLITE_LOCKED. Diesel does not pass on their codes, and SQLite never translates
        // its texts.
        (None, Error::DatabaseError(DatabaseErrorKind::Unknown, information)) => {
            let message = information.message();
            message == "database is locked" || message.starts_with("database table is locked")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
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
    fn a_text_means_what_all_servers_mean_by_it() {
        let error = error("canceling statement due to this test");
        assert_eq!(by_text(&error), None);
        let one = Said::new("canceling statement due to this test", ErrorClass::Transient);
        let _same = Said::new("canceling statement due to this test", ErrorClass::Transient);
        assert_eq!(by_text(&error), Some(ErrorClass::Transient));
        let other = Said::new("canceling statement due to this test", ErrorClass::Permanent);
        assert_eq!(by_text(&error), None);
        drop(other);
        drop(one);
        assert_eq!(by_text(&error), Some(ErrorClass::Transient));
    }

    #[test]
    fn another_error_is_not_taken_for_it() {
        let (one, other) = (error("deadlock detected"), error("deadlock detected"));
        let _last = LastError::new(&one).expect("one of a database");
        assert!(of(&other).is_none());
        assert!(of(&Error::NotFound).is_none());
    }
}
