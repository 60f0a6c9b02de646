//! For which scopes the writes of one checkout count.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::write_mark::{LentMark, WriteMark};
use crate::backend::position::Position;
use crate::settings::BindKey;

/// What a checkout writes to, in the terms of scopes, and how to find the scope of the calling task.
#[derive(Debug, Clone)]
pub(crate) struct WriteAccount {
    /// A number of the registry that has lent the connection. Another registry may have it after this one was dropped; then
    /// a scope has a mark too many, and asks for a position that it does not need.
    pub(crate) registry: usize,
    pub(crate) key: BindKey,
    pub(crate) tenant: Option<Arc<str>>,
    /// The innermost scope of that registry which the calling task is in.
    pub(crate) current_scope: fn(registry: usize) -> Option<Arc<dyn CountsWrites>>,
}

/// A scope, which keeps the marks of the connections that it has written on.
pub(crate) trait CountsWrites: fmt::Debug + Send + Sync {
    /// Keeps the mark, unless the scope has it.
    fn keep_mark(&self, account: &WriteAccount, mark: &Arc<WriteMark>);
}

/// The account of one connection while it is lent, and its mark as soon as a scope has written on it.
#[derive(Debug, Default)]
pub(super) struct AccountOfCheckout {
    open: Mutex<Option<Open>>,
    /// Whether there is an account. Read for each statement, without the lock: nearly all connections never have one.
    is_open: AtomicBool,
}

#[derive(Debug)]
struct Open {
    account: WriteAccount,
    mark: Option<LentMark>,
}

impl Open {
    fn scope(&self) -> Option<Arc<dyn CountsWrites>> {
        (self.account.current_scope)(self.account.registry)
    }

    /// Gives the mark of the connection to the scope, if the task is in one.
    fn hand_mark_to(&mut self, scope: Option<Arc<dyn CountsWrites>>) -> Option<&LentMark> {
        if let Some(scope) = scope {
            let mark = self.mark.get_or_insert_with(LentMark::new);
            scope.keep_mark(&self.account, mark.shared());
        }
        self.mark.as_ref()
    }
}

impl AccountOfCheckout {
    /// Opens the account of a checkout. If the calling task is in a scope, everything that is written counts for the scope
    /// from now on, also if another task writes it.
    pub(super) fn open(&self, account: WriteAccount) {
        let mut open = Open { account, mark: None };
        open.hand_mark_to(open.scope());
        *self.lock() = Some(open);
        self.is_open.store(true, Ordering::Relaxed);
    }

    pub(super) fn close(&self) {
        if self.is_open() {
            self.is_open.store(false, Ordering::Relaxed);
            *self.lock() = None;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Counts a write for the scopes that have a mark of the connection, and for the scope of the calling task, unless
    /// `only_reads` says that the statement writes nothing. It is only asked if there is such a scope.
    pub(super) fn note_possible_write(&self, only_reads: impl FnOnce() -> bool) {
        if !self.is_open() {
            return;
        }
        let scope = {
            let mut account = self.lock();
            let Some(open) = &mut *account else { return };
            let scope = open.scope();
            // After the end of all scopes that have written here, nobody reads the mark any more.
            open.mark.take_if(|mark| scope.is_none() && !mark.is_kept());
            if scope.is_none() && open.mark.is_none() {
                return;
            }
            scope
        };
        // Without the lock, because the text of the statement is written by code of the program.
        if !only_reads()
            && let Some(open) = &mut *self.lock()
            && let Some(mark) = open.hand_mark_to(scope)
        {
            mark.note_write();
        }
    }

    /// Statements run unseen on the connection from now on, until it is returned.
    pub(super) fn note_unobserved(&self) {
        if !self.is_open() {
            return;
        }
        if let Some(open) = &mut *self.lock()
            && let Some(mark) = open.hand_mark_to(open.scope())
        {
            mark.note_unobserved();
        }
    }

    /// Whether something may have been written in this checkout. Not known before a scope has a mark of the connection.
    pub(super) fn may_have_written(&self) -> bool {
        let account = self.lock();
        let mark = account.as_ref().and_then(|open| open.mark.as_ref());
        mark.is_none_or(LentMark::may_have_written)
    }

    /// Nothing that was run in this checkout has changed anything.
    pub(super) fn note_no_writes(&self) {
        self.with_mark(LentMark::note_no_writes);
    }

    /// Everything that was written in this checkout is committed, at or before this position.
    pub(super) fn note_position(&self, position: &Position) {
        self.with_mark(|mark| mark.note_position(position));
    }

    fn with_mark(&self, note: impl FnOnce(&LentMark)) {
        if self.is_open()
            && let Some(Open { mark: Some(mark), .. }) = &*self.lock()
        {
            note(mark);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A scope that keeps the marks it is given.
    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<Arc<WriteMark>>>);

    impl Kept {
        fn marks(&self) -> Vec<Arc<WriteMark>> {
            self.0.lock().expect("no panic").clone()
        }
    }

    impl CountsWrites for Kept {
        fn keep_mark(&self, _: &WriteAccount, mark: &Arc<WriteMark>) {
            let mut marks = self.0.lock().expect("no panic");
            if !marks.iter().any(|kept| Arc::ptr_eq(kept, mark)) {
                marks.push(Arc::clone(mark));
            }
        }
    }

    thread_local! {
        static CURRENT: RefCell<Option<Arc<Kept>>> = const { RefCell::new(None) };
    }

    fn enter(scope: Option<&Arc<Kept>>) {
        CURRENT.set(scope.cloned());
    }

    fn opened() -> AccountOfCheckout {
        let account = AccountOfCheckout::default();
        account.open(WriteAccount {
            registry: 1,
            key: BindKey::new("shop").expect("a key"),
            tenant: None,
            current_scope: |_| CURRENT.with_borrow(|scope| scope.clone().map(|scope| scope as _)),
        });
        account
    }

    #[test]
    fn scope_has_a_mark_of_what_it_writes_on_an_older_connection() {
        let (scope, other) = (Arc::new(Kept::default()), Arc::new(Kept::default()));
        let account = opened();
        account.note_possible_write(|| panic!("nobody wants to know"));
        enter(Some(&scope));
        account.note_possible_write(|| true);
        assert_eq!(scope.marks().len(), 0, "a read is no write");
        account.note_possible_write(|| false);
        account.note_possible_write(|| false);
        let [mark] = &scope.marks()[..] else { panic!("one mark: {scope:?}") };
        assert_eq!(mark.count(), 2);
        enter(Some(&other));
        account.note_possible_write(|| false);
        assert!(Arc::ptr_eq(mark, &other.marks()[0]), "there is one mark of the connection");
        enter(None);
        account.note_possible_write(|| false);
        assert_eq!(mark.count(), 4, "the scopes have it already");
        account.close();
        account.note_possible_write(|| false);
        assert_eq!((mark.count(), mark.is_lent()), (4, false));
    }

    #[test]
    fn statements_are_not_read_after_the_end_of_the_scopes() {
        let scope = Arc::new(Kept::default());
        enter(Some(&scope));
        let account = opened();
        account.note_no_writes();
        assert!(!account.may_have_written());
        enter(None);
        drop(scope);
        account.note_possible_write(|| panic!("nobody wants to know"));
        assert!(account.may_have_written(), "not known any more");
    }

    #[test]
    fn connection_that_is_acquired_in_a_scope_has_a_mark_at_once() {
        let scope = Arc::new(Kept::default());
        enter(Some(&scope));
        let account = opened();
        enter(None);
        account.note_possible_write(|| false);
        assert_eq!(scope.marks()[0].count(), 1);
    }

    #[test]
    fn what_runs_unseen_is_a_write_until_the_connection_is_returned() {
        let scope = Arc::new(Kept::default());
        let account = opened();
        account.note_unobserved();
        enter(Some(&scope));
        account.note_unobserved();
        let position = Position::Postgres { system: 1, timeline: 1, lsn: 5 };
        account.note_position(&position);
        let mark = Arc::clone(&scope.marks()[0]);
        assert!(mark.may_have_written() && mark.is_unplaced_after(mark.count()));
        account.note_possible_write(|| false);
        account.close();
        assert!(mark.is_unplaced_after(0) && !mark.is_unplaced_after(mark.count()));
    }
}
