//! Whether something may have been written on behalf of a scope, and where.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::position::Position;

/// The writes on one connection on which a scope has written, or that a scope has acquired, until it is returned.
///
/// They are counted, so that each scope can say up to which of them it knows the position. Each statement that may write is
/// counted, and each end of a transaction, both when it begins and when it has ended: a position that is asked for in
/// between may be before it.
#[derive(Debug, Default)]
pub(crate) struct WriteMark(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    writes: u64,
    /// How many of them are known to have changed nothing.
    void: u64,
    /// How many of them were committed at or before `position`.
    placed: u64,
    position: Option<Position>,
    is_lent: bool,
    /// Whether statements run unseen as long as the connection is lent.
    is_unobserved: bool,
}

impl State {
    fn may_have_written(&self) -> bool {
        self.is_unobserved || self.writes > self.void
    }
}

impl WriteMark {
    /// The mark of a write whose position is not known, on a connection of another process.
    #[cfg(feature = "axum")]
    pub(crate) fn of_unknown_write() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { writes: 1, ..State::default() })))
    }

    /// How many writes there may have been.
    pub(crate) fn count(&self) -> u64 {
        self.state().writes
    }

    /// Whether there may have been a write.
    pub(crate) fn may_have_written(&self) -> bool {
        self.state().may_have_written()
    }

    /// Whether there may have been a write after the first `placed` of them whose position is not known.
    pub(crate) fn is_unplaced_after(&self, placed: u64) -> bool {
        let state = self.state();
        let is_written_unseen = state.is_unobserved && state.is_lent;
        is_written_unseen || state.writes > state.placed.max(state.void).max(placed)
    }

    /// The position of the last commit that has told its position.
    pub(crate) fn position(&self) -> Option<Position> {
        self.state().position.clone()
    }

    /// Whether more writes may follow.
    pub(crate) fn is_lent(&self) -> bool {
        self.state().is_lent
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's end of a [`WriteMark`].
#[derive(Debug)]
pub(crate) struct LentMark(Arc<WriteMark>);

impl LentMark {
    /// A mark for a connection that is lent.
    pub(crate) fn new() -> Self {
        let state = State { is_lent: true, ..State::default() };
        Self(Arc::new(WriteMark(Mutex::new(state))))
    }

    /// What the scopes keep.
    pub(crate) fn shared(&self) -> &Arc<WriteMark> {
        &self.0
    }

    /// Whether a scope has it.
    pub(super) fn is_kept(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Counts a write.
    pub(crate) fn note_write(&self) {
        self.0.state().writes += 1;
    }

    /// Any statement may run unseen from now on.
    pub(super) fn note_unobserved(&self) {
        self.0.state().is_unobserved = true;
    }

    /// Whether there may have been a write.
    pub(super) fn may_have_written(&self) -> bool {
        self.0.state().may_have_written()
    }

    /// Nothing that was run on the connection has changed anything.
    pub(crate) fn note_no_writes(&self) {
        let mut state = self.0.state();
        state.void = state.writes;
    }

    /// Everything that was written on the connection is committed, at or before this position.
    pub(crate) fn note_position(&self, position: &Position) {
        let mut state = self.0.state();
        let merged = state.position.as_ref().map(|earlier| earlier.merged(position));
        state.position = Some(merged.unwrap_or_else(|| position.clone()));
        state.placed = state.writes;
    }
}

impl Drop for LentMark {
    fn drop(&mut self) {
        self.0.state().is_lent = false;
    }
}
