//! The instrumentation of a connection.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent, get_default_instrumentation};

use super::caller::Caller;
use super::events::slow_query;
use super::watch::{BackendRules, ConnectionWatch};
use crate::backend::observed::TransactionDoubts;
use crate::settings::BindKey;
use crate::sql::{self, Dialect, Effects, TransactionEffect};

/// The instrumentation of a connection: watches, reports slow queries, and passes every event on to the
/// program's own default instrumentation, if it has set one.
pub(in crate::engine) struct WatchInstrumentation {
    watch: Arc<ConnectionWatch>,
    key: BindKey,
    slow: Option<Duration>,
    rules: BackendRules,
    effects_cache: EffectsCache,
    started: Option<Instant>,
    next: Option<Box<dyn Instrumentation>>,
}

impl WatchInstrumentation {
    pub(in crate::engine) fn new(
        watch: Arc<ConnectionWatch>,
        key: BindKey,
        slow: Option<Duration>,
        rules: BackendRules,
    ) -> Self {
        let next = get_default_instrumentation();
        Self {
            watch,
            key,
            slow,
            rules,
            effects_cache: EffectsCache::default(),
            started: None,
            next,
        }
    }
}

impl Instrumentation for WatchInstrumentation {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match &event {
            InstrumentationEvent::StartQuery { query, .. } => {
                self.watch.note_started();
                // A session may be handed on to another task than that which has acquired it.
                if self.watch.holder.load(Ordering::Relaxed) != 0 {
                    self.watch.set_holder(Caller::current());
                }
                self.watch.observed.errors.forget_last();
                if self.watch.is_in_tracked_transaction.load(Ordering::Relaxed)
                    && !self.watch.observed.reads_stream()
                    && !self.rules.knows_transactions
                {
                    // Before its end, which may never be reported.
                    let shown = query.to_string();
                    let sql = sql::without_bind_values(self.rules.dialect, &shown);
                    if self.effects_cache.effects(self.rules.dialect, sql).may_end {
                        self.watch.observed.transaction.raise_doubts(TransactionDoubts::ENDED);
                    }
                }
                if self.slow.is_some() {
                    self.started = Some(Instant::now());
                }
            }
            InstrumentationEvent::FinishQuery { query, error, .. } => {
                self.watch.note_finished(error.is_some());
                if let Some(error) = error {
                    self.watch.note_error(error, self.rules);
                }
                if !self.watch.observed.reads_stream() {
                    let (observed, rules) = (&self.watch.observed, self.rules);
                    // The drivers write the statement in one piece, which is looked at in place.
                    let note = |sql: &str| {
                        let may_have_rows =
                            error.is_none() && sql::may_return_rows(rules.dialect, sql);
                        self.watch.note_possible_rows(may_have_rows);
                        let mut effects = self.effects_cache.effects(rules.dialect, sql);
                        if rules.knows_transactions {
                            effects.transaction = TransactionEffect::None;
                        }
                        observed.note_effects(effects);
                        observed.transaction.raise_doubts(questions(sql, effects, may_have_rows));
                    };
                    let _ = write!(ForEachPiece(note), "{query}");
                }
                if let (Some(slow), Some(started)) = (self.slow, self.started.take())
                    && started.elapsed() >= slow
                {
                    let tenant = self.watch.tenant();
                    let shown = query.to_string();
                    let sql = sql::without_bind_values(self.rules.dialect, &shown);
                    slow_query(self.key, tenant.as_deref(), sql, started.elapsed());
                }
            }
            _ => {}
        }
        if let Some(next) = &mut self.next {
            next.on_connection_event(event);
        }
    }
}

/// What is to be asked of a transaction after a statement.
fn questions(sql: &str, effects: Effects, may_have_rows: bool) -> TransactionDoubts {
    let mut questions = TransactionDoubts::default();
    if effects.may_end {
        questions = questions.and(TransactionDoubts::ENDED);
    }
    // Diesel's own are gone when their transaction is over, before anything is asked.
    if effects.has_savepoint && !sql::is_diesel_savepoint(sql) {
        questions = questions.and(TransactionDoubts::SAVEPOINT);
    }
    if may_have_rows { questions.and(TransactionDoubts::ROWS) } else { questions }
}

/// The verdicts on a few statements, as most are run again and again.
///
/// A statement is known by its whole text, so that no other one can be taken for it.
#[derive(Default)]
struct EffectsCache([Option<(Box<str>, Effects)>; CACHED_STATEMENTS]);

const CACHED_STATEMENTS: usize = 32;

/// Longer statements are rarely run again with the same text.
const LONGEST_CACHED: usize = 4096;

impl EffectsCache {
    fn effects(&mut self, dialect: Dialect, sql: &str) -> Effects {
        // Statements of one length mostly differ early or late.
        let bytes = sql.as_bytes();
        let middle = bytes.get(bytes.len() / 2).copied().unwrap_or_default();
        let near_end = bytes.iter().rev().nth(8).copied().unwrap_or_default();
        let place = (bytes.len() + usize::from(middle) * 7 + usize::from(near_end) * 13)
            % CACHED_STATEMENTS;
        match &self.0[place] {
            Some((text, effects)) if **text == *sql => *effects,
            _ => {
                let effects = sql::effects(dialect, sql);
                if sql.len() <= LONGEST_CACHED {
                    self.0[place] = Some((sql.into(), effects));
                }
                effects
            }
        }
    }
}

struct ForEachPiece<F>(F);

impl<F: FnMut(&str)> Write for ForEachPiece<F> {
    fn write_str(&mut self, sql: &str) -> fmt::Result {
        (self.0)(sql);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_known_by_its_whole_text() {
        let mut effects_cache = EffectsCache::default();
        let mut effects = |sql: &str| effects_cache.effects(Dialect::Mysql, sql);
        for _ in 0..2 {
            let (harmless, other) = ("SELECT 'SET x = 1'  FROM t", "SET x = 1; SELECT 5 FROM t");
            assert_eq!(effects(harmless), sql::effects(Dialect::Mysql, harmless));
            assert_eq!(effects(other), sql::effects(Dialect::Mysql, other));
            assert_ne!(effects(harmless), effects(other));
        }
    }
}
