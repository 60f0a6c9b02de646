//! Reads the messages on a stream, and records the state of its connection.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::error_response::ErrorFields;
use super::frames::{Frames, text};
use crate::backend::error_class::ErrorClass;
use crate::backend::observed::Observed;
use crate::sql::{self, Dialect, Effects, SessionEffect};

/// Reads the messages of both directions, and records the state of the connection in [`Observed`].
pub(super) struct StreamObserver {
    observed: Arc<Observed>,
    sent: Frames,
    received: Frames,
    /// The batches that were sent, in order: each `ReadyForQuery` that is to come answers one.
    expected: VecDeque<Batch>,
    /// The batch since the last `Sync`.
    batch: Batch,
    /// Whether the server has reported an error since the last `ReadyForQuery`.
    has_failed: bool,
    /// The number of named statements that are prepared and not closed.
    prepared: u64,
    /// By name, the effects of prepared statements on the session or on a transaction. Statements without effects are not
    /// listed.
    effects_by_name: HashMap<Vec<u8>, Effects>,
    /// Whether statements can change the session. Behind a transaction pooler, statements that would change it are not sent.
    has_session: bool,
    /// Whether the session is set up. A parameter that is reported later has been changed by a statement.
    is_set_up: bool,
    /// The values of the parameters that the server has reported.
    parameters: HashMap<Vec<u8>, Vec<u8>>,
    /// The parameters that were reported since the last time that no transaction was open, with their values at that time.
    /// They are compared when no transaction is open again, because `SET LOCAL` is undone with its transaction.
    parameters_before: HashMap<Vec<u8>, Vec<u8>>,
}

/// The messages up to a `Sync`.
#[derive(Debug, Default, Clone, Copy)]
struct Batch {
    /// Whether the batch contains a statement. The driver waits for the answer to a statement, but not for the answer to a
    /// `Close`.
    has_statement: bool,
    /// Whether its statements are known to leave the open transaction open: `ROLLBACK TO SAVEPOINT` has the same command tag
    /// as `ROLLBACK`.
    keeps_transaction: bool,
    /// Whether its statements may end a transaction.
    may_end: bool,
    /// The number of named statements that the batch prepares, and the number that it closes.
    prepares: u64,
    closes: u64,
}

impl StreamObserver {
    pub(super) fn new(observed: Arc<Observed>, has_session: bool) -> Self {
        Self {
            observed,
            has_session,
            sent: Frames::before_startup(),
            received: Frames::default(),
            expected: VecDeque::new(),
            batch: Batch::default(),
            has_failed: false,
            prepared: 0,
            effects_by_name: HashMap::new(),
            is_set_up: false,
            parameters: HashMap::new(),
            parameters_before: HashMap::new(),
        }
    }

    /// The driver sends something. Called before the system is, because an error does not tell how much was sent.
    pub(super) fn note_sending(&self) {
        self.observed.stream.note_sending();
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let mut sent = std::mem::take(&mut self.sent);
        let wants_binds = !self.effects_by_name.is_empty();
        let wants = |kind| matches!(kind, b'P' | b'Q' | b'C') || kind == b'B' && wants_binds;
        sent.feed(bytes, wants, |kind, body| self.sent_message(kind, body));
        self.sent = sent;
    }

    fn sent_message(&mut self, kind: u8, body: &[u8]) {
        match kind {
            b'Q' => {
                let mut may_end = true;
                if let Some((query, _)) = text(body) {
                    let effects = effects_of(query);
                    self.note_effects(effects);
                    may_end = effects.may_end;
                }
                let keeps_transaction = !may_end;
                let batch =
                    Batch { has_statement: true, keeps_transaction, may_end, ..Batch::default() };
                self.expect(batch);
            }
            b'P' => {
                self.batch.has_statement = true;
                if let Some((name, rest)) = text(body)
                    && let Some((query, _)) = text(rest)
                {
                    let effects = effects_of(query);
                    self.note_effects(effects);
                    self.batch.prepares += u64::from(!name.is_empty());
                    let is_of_transaction = effects.has_savepoint || effects.may_end;
                    if effects.session != SessionEffect::None && !name.is_empty()
                        || is_of_transaction
                    {
                        self.effects_by_name.insert(name.to_vec(), effects);
                    } else if name.is_empty() && !self.effects_by_name.is_empty() {
                        // A new statement has replaced the unnamed statement.
                        self.effects_by_name.remove(name);
                    }
                }
            }
            b'B' => {
                self.batch.has_statement = true;
                if let Some((_, rest)) = text(body)
                    && let Some((name, _)) = text(rest)
                {
                    let effects = self.effects_by_name.get(name).copied();
                    self.batch.keeps_transaction =
                        effects.is_some_and(|effects| effects.has_savepoint && !effects.may_end);
                    if let Some(effects) = effects {
                        self.batch.may_end |= effects.may_end;
                        self.note_effects(effects);
                    }
                }
            }
            b'C' => {
                if let Some((b'S', name)) = body.split_first()
                    && let Some((name, _)) = text(name)
                {
                    self.effects_by_name.remove(name);
                    self.batch.closes += u64::from(!name.is_empty());
                }
            }
            // Sync
            b'S' => {
                let batch = std::mem::take(&mut self.batch);
                self.expect(batch);
            }
            // Describe, Execute, FunctionCall
            b'D' | b'E' | b'F' => self.batch.has_statement = true,
            _ => {}
        }
    }

    fn note_effects(&self, effects: Effects) {
        if self.has_session {
            self.observed.note_effects(effects);
        }
    }

    fn expect(&mut self, batch: Batch) {
        self.expected.push_back(batch);
        if batch.may_end {
            self.observed.transaction.note_may_end_sent();
        }
        if batch.has_statement {
            self.observed.stream.note_sent();
        }
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        let mut received = std::mem::take(&mut self.received);
        let wants = |kind| matches!(kind, b'Z' | b'E' | b'S' | b'C');
        received.feed(bytes, wants, |kind, body| self.received_message(kind, body));
        self.received = received;
    }

    fn received_message(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (b'Z', [status, ..]) => {
                self.observed.transaction.note_status(*status);
                if *status == b'I' && !self.parameters_before.is_empty() {
                    self.compare_parameters();
                }
                // The first `ReadyForQuery` ends the start-up, which is no batch.
                match self.expected.pop_front() {
                    Some(batch) => self.answered(batch),
                    None => self.is_set_up = true,
                }
            }
            (b'C', tag) => self.completed(tag),
            (b'E', fields) => self.received_error(fields),
            (b'S', body) => {
                if let Some((name, rest)) = text(body)
                    && let Some((value, _)) = text(rest)
                    && !self.observed.role.note_parameter(name, value)
                    && self.has_session
                {
                    let before = self.parameters.insert(name.to_vec(), value.to_vec());
                    if self.is_set_up {
                        self.parameters_before
                            .entry(name.to_vec())
                            .or_insert(before.unwrap_or_default());
                    }
                }
            }
            _ => {}
        }
    }

    /// Handles the completion of a statement with the command tag `tag`. The status at the end of a batch does not show the
    /// end of a transaction if another one is open by then.
    fn completed(&mut self, tag: &[u8]) {
        let has_ended = match tag {
            b"COMMIT\0" | b"PREPARE TRANSACTION\0" => true,
            b"ROLLBACK\0" => !self.expected.front().is_some_and(|batch| batch.keeps_transaction),
            _ => false,
        };
        if has_ended {
            self.observed.transaction.note_ended_by_statement();
        }
    }

    fn compare_parameters(&mut self) {
        if self
            .parameters_before
            .drain()
            .any(|(name, before)| self.parameters.get(&name) != Some(&before))
        {
            // A setting of the session has changed, whichever statement was the cause.
            self.observed.session.note_change();
        }
    }

    fn answered(&mut self, batch: Batch) {
        // After an error, the server ignores the rest of a batch, so it is uncertain which statements were prepared or closed.
        if !std::mem::take(&mut self.has_failed) && batch.prepares + batch.closes > 0 {
            self.prepared = (self.prepared + batch.prepares).saturating_sub(batch.closes);
            self.observed.session.note_prepared_count(self.prepared);
        }
        if batch.may_end {
            self.observed.transaction.note_may_end_answered();
        }
        if batch.has_statement {
            self.observed.stream.note_answered();
        }
    }

    fn received_error(&mut self, mut fields: &[u8]) {
        self.has_failed = true;
        let mut error = ErrorFields::default();
        while let Some((kind, rest)) = fields.split_first()
            && let Some((value, rest)) = text(rest)
        {
            match kind {
                b'C' => error.state = value,
                // The severity that is never translated. PostgreSQL sends it from 9.6 on.
                b'V' => error.severity = value,
                b'R' => error.routine = value,
                b'M' => error.message = value,
                _ => {}
            }
            fields = rest;
        }
        let class = error.class();
        if class == ErrorClass::Fatal {
            self.observed
                .errors
                .note_fatal_message(String::from_utf8_lossy(error.message).into_owned());
        }
        if error.is_lock_conflict() {
            self.observed.errors.note_lock_conflict();
        }
        let message = String::from_utf8_lossy(error.message);
        self.observed.errors.note(class, &message);
        self.observed.errors.remember_text(&message, class);
    }
}

impl Drop for StreamObserver {
    fn drop(&mut self) {
        self.observed.stream.note_gone();
    }
}

pub(super) fn effects_of(query: &[u8]) -> Effects {
    match std::str::from_utf8(query) {
        Ok(query) => sql::effects(Dialect::Postgres, query),
        Err(_) => Effects::of_the_unreadable(),
    }
}
