//! Diesel's instrumentation of a connection: the statements that run on it, and their possible effects.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use diesel::connection::{Instrumentation, InstrumentationEvent, get_default_instrumentation};
use diesel::result::Error;

use super::start_times::StartTimes;
use super::statement_errors::BackendRules;
use super::watch::ConnectionWatch;
use crate::attribution::is_attributed;
use crate::backend::observed::TransactionDoubts;
use crate::cause::error_kind;
use crate::settings::EngineSettings;
use crate::sql::{self, Dialect, Effects, TransactionEffect, is_plain_select};
use crate::telemetry::{FinishedQuery, bind_values, is_wanted};

/// The instrumentation of a connection: reports each statement to the [`ConnectionWatch`], tells those that are queries of
/// their own, and passes every event on to the program's default instrumentation, if there is one.
pub(in crate::engine) struct WatchInstrumentation {
    watch: Arc<ConnectionWatch>,
    settings: Arc<EngineSettings>,
    rules: BackendRules,
    effects_cache: EffectsCache,
    /// When the statements under way began, of those that are told as queries of their own.
    started: StartTimes,
    /// Whether statements have overlapped since the last time that none was under way. Their ends are then reported in the
    /// order in which the program asks for them, and not in the order in which the server has run them.
    is_pipeline: bool,
    next: Option<Box<dyn Instrumentation>>,
}

impl WatchInstrumentation {
    pub(in crate::engine) fn new(
        watch: Arc<ConnectionWatch>,
        settings: Arc<EngineSettings>,
        rules: BackendRules,
    ) -> Self {
        let next = get_default_instrumentation();
        Self {
            watch,
            settings,
            rules,
            effects_cache: EffectsCache::default(),
            started: StartTimes::default(),
            is_pipeline: false,
            next,
        }
    }
}

impl Drop for WatchInstrumentation {
    fn drop(&mut self) {
        // A connection drops its instrumentation when it gets another one, or is dropped itself.
        self.watch.note_instrumentation_replaced();
    }
}

impl Instrumentation for WatchInstrumentation {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match &event {
            InstrumentationEvent::StartQuery { query, .. } => self.note_start(*query),
            InstrumentationEvent::FinishQuery { query, error, .. } => {
                self.note_finish(*query, *error);
            }
            _ => {}
        }
        if let Some(next) = &mut self.next {
            next.on_connection_event(event);
        }
    }
}

impl WatchInstrumentation {
    fn note_start(&mut self, query: &dyn fmt::Display) {
        self.is_pipeline = self.watch.is_cut_short();
        self.watch.note_started();
        self.watch.update_holder();
        self.note_possible_write(query);
        if self.watch.is_in_tracked_transaction()
            && !self.watch.observed.reads_stream()
            && !self.rules.knows_transactions
        {
            // Recorded at the beginning, because the end of a statement that is cut short is never reported.
            let shown = query.to_string();
            let sql = sql::without_bind_values(self.rules.dialect, &shown);
            if self.effects_cache.effects(self.rules.dialect, sql).may_end {
                self.watch.observed.transaction.raise_doubts(TransactionDoubts::ENDED);
            }
        }
        if self.is_told() {
            self.started.push(|| sql_of(query, self.rules.dialect));
        }
    }

    /// Whether the statement that is reported now is told as a query of its own: it is the borrower's, and no part of a query
    /// that is observed as a whole.
    fn is_told(&self) -> bool {
        self.watch.is_lent()
            && !is_attributed()
            && is_wanted(&self.settings, self.watch.listeners().as_ref())
    }

    /// Counts a write for the scope of the task, if the statement may write.
    fn note_possible_write(&self, query: &dyn fmt::Display) {
        let dialect = self.rules.dialect;
        self.watch.note_possible_write(|| is_plain_select(dialect, &sql_of(query, dialect)));
    }

    fn note_finish(&mut self, query: &dyn fmt::Display, error: Option<&Error>) {
        self.watch.note_finished(error.is_some());
        self.note_possible_write(query);
        if let Some(error) = error {
            self.watch.note_error(error, self.rules);
        }
        if !self.watch.observed.reads_stream() {
            let (observed, rules, is_pipeline) =
                (&self.watch.observed, self.rules, self.is_pipeline);
            // The drivers format the statement in one piece, so it is read in place, without allocating.
            let note = |sql: &str| {
                let may_have_rows = error.is_none() && sql::may_return_rows(rules.dialect, sql);
                self.watch.note_possible_rows(may_have_rows);
                let mut effects = self.effects_cache.effects(rules.dialect, sql);
                if rules.knows_transactions {
                    effects.transaction = TransactionEffect::None;
                } else if is_pipeline && effects.transaction == TransactionEffect::Ends {
                    // The server may have run a statement after this one that has begun a transaction.
                    effects.transaction = TransactionEffect::Begins;
                }
                observed.note_effects(effects);
                observed.transaction.raise_doubts(doubts_after(sql, effects, may_have_rows));
            };
            let _ = write!(ForEachPiece(note), "{query}");
        }
        // A statement of the borrower's that was cut short has left its beginning behind, which belongs to no other.
        if self.watch.is_lent()
            && !is_attributed()
            && let Some(started) = self.started.pop(|| sql_of(query, self.rules.dialect))
        {
            self.tell(query, started, error);
        }
    }

    /// Tells a statement that was not run with this crate's methods: the place and the rows are not known.
    fn tell(&self, query: &dyn fmt::Display, started: Instant, error: Option<&Error>) {
        let shown = query.to_string();
        let sql = sql::without_bind_values(self.rules.dialect, &shown);
        let listeners = self.watch.listeners();
        let elapsed = started.elapsed();
        FinishedQuery {
            settings: &self.settings,
            listeners: listeners.as_ref(),
            tenant: self.watch.tenant(),
            values: if self.settings.tells_values() { bind_values(sql, &shown) } else { None },
            place: None,
            started: SystemTime::now() - elapsed,
            elapsed,
            rows: None,
            error: error.map(error_kind),
        }
        .tell(sql);
    }
}

/// The SQL of a statement, without the values that Diesel shows behind it.
fn sql_of(query: &dyn fmt::Display, dialect: Dialect) -> String {
    let shown = query.to_string();
    sql::without_bind_values(dialect, &shown).to_owned()
}

/// The doubts that a statement raises about its transaction.
fn doubts_after(sql: &str, effects: Effects, may_have_rows: bool) -> TransactionDoubts {
    let mut doubts = TransactionDoubts::default();
    if effects.may_end {
        doubts = doubts.and(TransactionDoubts::ENDED);
    }
    // Savepoints of Diesel's own are released when their transaction is over, so they never hide the mark.
    if effects.has_savepoint && !sql::is_diesel_savepoint(sql) {
        doubts = doubts.and(TransactionDoubts::SAVEPOINT);
    }
    if may_have_rows { doubts.and(TransactionDoubts::ROWS) } else { doubts }
}

/// A direct-mapped cache of the effects of statements, because a program runs the same few statements again and again.
///
/// The whole text is compared, so that no statement can be mistaken for another one.
#[derive(Default)]
struct EffectsCache([Option<(Box<str>, Effects)>; CACHED_STATEMENTS]);

const CACHED_STATEMENTS: usize = 32;

/// The maximum length, in bytes, of a cached statement. Longer statements are rarely run again with the same text.
const LONGEST_CACHED: usize = 4096;

impl EffectsCache {
    fn effects(&mut self, dialect: Dialect, sql: &str) -> Effects {
        let sql = sql::without_tags(sql);
        // Length, middle and end tell most statements apart, and cost less than a hash of the whole text.
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

/// Calls a closure for each piece of text that is written to it.
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
    fn cache_compares_whole_text_of_statements() {
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
