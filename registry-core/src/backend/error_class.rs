//! The class of an error, also for a caller that has only Diesel's error.
//!
//! Diesel's error does not contain the database's error code. When `?` converts it into an [`Error`](crate::Error), no
//! connection is available that could be asked. So two tables of the process map errors to classes. Each connection keeps
//! entries for its last errors in the tables, and an entry is removed when the connection forgets the error.
//!
//! - [`diagnosis_of`] finds an error that was returned by a statement. The key is the address of the error's information on
//!   the heap, which does not change when the error itself is moved.
//! - [`class_by_text`] finds an error that arrived among the rows of a statement: such an error bypasses all code that could
//!   record its address. The key is the text of the message, so there is an answer only if the text has the same class on
//!   all servers.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use diesel::result::{DatabaseErrorKind, Error};

/// The class of a server's error, determined by its code and not by its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorClass {
    /// The same statement fails again.
    Permanent = 1,
    /// The same statement may succeed a little later: a deadlock, a serialization failure, a lock that was not available
    /// in time, exhausted resources.
    Transient,
    /// The server or the transaction refuses writes.
    ReadOnly,
    /// A prepared statement no longer fits its table ("cached plan must not change result type").
    StalePlan,
    /// A prepared statement no longer exists on the server.
    StatementGone,
    /// The OID that the client has cached for a type no longer exists.
    StaleType,
    /// The server has ended the connection with this error.
    Fatal,
}

impl ErrorClass {
    /// Every class.
    pub(super) const ALL: [Self; 7] = [
        Self::Permanent,
        Self::Transient,
        Self::ReadOnly,
        Self::StalePlan,
        Self::StatementGone,
        Self::StaleType,
        Self::Fatal,
    ];

    /// The bit of this class in a set of classes.
    pub(super) fn bit(self) -> u8 {
        1 << (self as u8 - 1)
    }

    /// Whether the same statement may succeed a little later, or on another connection.
    pub(crate) fn is_transient(self) -> bool {
        self != Self::Permanent
    }
}

/// The class of an error, set when it becomes known: MySQL is asked for the code after the error has been returned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diagnosis(Arc<OnceLock<ErrorClass>>);

impl Diagnosis {
    pub(crate) fn class(&self) -> Option<ErrorClass> {
        self.0.get().copied()
    }

    pub(crate) fn set(&self, class: ErrorClass) {
        // The first answer stays, because it was determined closer to the error.
        let _ = self.0.set(class);
    }
}

/// The identity of a database error: the address of its information and the hash of its message. If a later error gets the
/// same address, either its message differs, or its message is the same and so is its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ErrorIdentity {
    address: usize,
    text_hash: u64,
}

impl ErrorIdentity {
    /// `None` if the error is not a database error.
    fn of(error: &Error) -> Option<Self> {
        let Error::DatabaseError(_, information) = error else { return None };
        let address = std::ptr::from_ref(&**information).cast::<()>().addr();
        Some(Self { address, text_hash: text_hash(information.message()) })
    }
}

/// The last errors that statements have returned, by address.
static LAST_ERRORS: Mutex<BTreeMap<usize, (u64, Diagnosis)>> = Mutex::new(BTreeMap::new());

fn last_errors() -> MutexGuard<'static, BTreeMap<usize, (u64, Diagnosis)>> {
    LAST_ERRORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the last errors of a connection. Dropping it removes its entry.
#[derive(Debug)]
pub(crate) struct LastError {
    identity: ErrorIdentity,
    diagnosis: Diagnosis,
}

impl LastError {
    pub(crate) fn new(error: &Error) -> Option<Self> {
        let identity = ErrorIdentity::of(error)?;
        let diagnosis = Diagnosis::default();
        last_errors().insert(identity.address, (identity.text_hash, diagnosis.clone()));
        Some(Self { identity, diagnosis })
    }

    /// Whether this entry is for `error`.
    pub(crate) fn is(&self, error: &Error) -> bool {
        ErrorIdentity::of(error) == Some(self.identity)
    }

    pub(crate) fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }
}

impl Drop for LastError {
    fn drop(&mut self) {
        let mut last_errors = last_errors();
        // A newer error may have the address by now.
        let is_own = |(_, other): &(u64, Diagnosis)| Arc::ptr_eq(&other.0, &self.diagnosis.0);
        if last_errors.get(&self.identity.address).is_some_and(is_own) {
            last_errors.remove(&self.identity.address);
        }
    }
}

/// The diagnosis of `error`, if it is one of the last errors of a connection. The diagnosis may be completed later.
pub(crate) fn diagnosis_of(error: &Error) -> Option<Diagnosis> {
    let ErrorIdentity { address, text_hash } = ErrorIdentity::of(error)?;
    let last_errors = last_errors();
    last_errors
        .get(&address)
        .filter(|(other, _)| *other == text_hash)
        .map(|(_, found)| found.clone())
}

/// The classes of the last errors that servers have sent, by the hash of their text.
static CLASSES_BY_TEXT: Mutex<BTreeMap<u64, Vec<(usize, ErrorClass)>>> =
    Mutex::new(BTreeMap::new());

fn classes_by_text() -> MutexGuard<'static, BTreeMap<u64, Vec<(usize, ErrorClass)>>> {
    CLASSES_BY_TEXT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text of one of the last errors that a server has sent on a connection. Dropping it removes its entry.
#[derive(Debug)]
pub(crate) struct RememberedText {
    text_hash: u64,
    number: usize,
}

/// The hash by which the text of an error is found.
pub(super) fn text_hash(message: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

impl RememberedText {
    pub(crate) fn new(message: &str, class: ErrorClass) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);

        let (text_hash, number) = (text_hash(message), COUNT.fetch_add(1, Ordering::Relaxed));
        classes_by_text().entry(text_hash).or_default().push((number, class));
        Self { text_hash, number }
    }
}

impl Drop for RememberedText {
    fn drop(&mut self) {
        let mut classes = classes_by_text();
        if let Some(all) = classes.get_mut(&self.text_hash) {
            all.retain(|(number, _)| *number != self.number);
            if all.is_empty() {
                classes.remove(&self.text_hash);
            }
        }
    }
}

/// The class of an error according to the codes with which servers have recently sent its text, if the codes agree.
pub(crate) fn class_by_text(error: &Error) -> Option<ErrorClass> {
    // For every other kind, the kind itself determines the class.
    let Error::DatabaseError(DatabaseErrorKind::Unknown, information) = error else { return None };
    let classes = classes_by_text();
    let all = classes.get(&text_hash(information.message()))?;
    let (_, class) = all.first()?;
    all.iter().all(|(_, other)| other == class).then_some(*class)
}

/// Whether an operation that failed with `error` may succeed a little later.
pub(crate) fn is_transient(class: Option<ErrorClass>, error: &Error) -> bool {
    use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UnableToSendCommand};

    let class = class.or_else(|| diagnosis_of(error)?.class()).or_else(|| class_by_text(error));
    match (class, error) {
        (Some(class), _) => class.is_transient(),
        (
            None,
            Error::DatabaseError(ClosedConnection | SerializationFailure | UnableToSendCommand, _),
        ) => true,
        // SQLITE_BUSY and SQLITE_LOCKED. Diesel does not pass on their codes, and SQLite never translates its texts.
        (None, Error::DatabaseError(DatabaseErrorKind::Unknown, information)) => {
            let message = information.message();
            message == "database is locked" || message.starts_with("database table is locked")
        }
        _ => false,
    }
}

/// Whether `error` means that the connection was lost.
pub(crate) fn is_connection_lost(class: Option<ErrorClass>, error: &Error) -> bool {
    use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};

    class.or_else(|| diagnosis_of(error)?.class()) == Some(ErrorClass::Fatal)
        || matches!(error, Error::DatabaseError(ClosedConnection | UnableToSendCommand, _))
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
        let found = diagnosis_of(&moved).expect("it is the last one");
        assert_eq!(found.class(), None, "nobody has asked yet");
        last.diagnosis().set(ErrorClass::Transient);
        assert_eq!(found.class(), Some(ErrorClass::Transient));
        drop(last);
        assert!(diagnosis_of(&moved).is_none());
        assert_eq!(
            found.class(),
            Some(ErrorClass::Transient),
            "it stays for those who have found it"
        );
    }

    #[test]
    fn a_text_means_what_all_servers_mean_by_it() {
        let error = error("canceling statement due to this test");
        assert_eq!(class_by_text(&error), None);
        let one =
            RememberedText::new("canceling statement due to this test", ErrorClass::Transient);
        let _same =
            RememberedText::new("canceling statement due to this test", ErrorClass::Transient);
        assert_eq!(class_by_text(&error), Some(ErrorClass::Transient));
        let other =
            RememberedText::new("canceling statement due to this test", ErrorClass::Permanent);
        assert_eq!(class_by_text(&error), None);
        drop(other);
        drop(one);
        assert_eq!(class_by_text(&error), Some(ErrorClass::Transient));
    }

    #[test]
    fn another_error_is_not_taken_for_it() {
        let (one, other) = (error("deadlock detected"), error("deadlock detected"));
        let _last = LastError::new(&one).expect("one of a database");
        assert!(diagnosis_of(&other).is_none());
        assert!(diagnosis_of(&Error::NotFound).is_none());
    }
}
