//! A query that has ended: to whom it is told.

use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::Span;

use super::event;
use super::listeners::{Listeners, is_task_recording};
use super::meters;
use super::query::RecordedQuery;
use super::text::StatementText;
use crate::settings::EngineSettings;
use crate::sql::{Dialect, Summary};

/// The text of a statement, as it is sent.
#[derive(Debug, Default)]
pub struct Statement {
    pub(crate) sql: Arc<str>,
    /// Its bind values, if the program has asked for them in a debug build.
    pub(crate) values: Option<String>,
}

/// The values of a statement. `shown` is what Diesel's `debug_query` shows of it: its text, which is `sql`, and then its values.
pub(crate) fn bind_values(sql: &str, shown: &str) -> Option<String> {
    let values = shown.get(sql.len()..)?.strip_prefix(" -- binds: ")?;
    Some(values.to_owned())
}

/// A query that has ended.
pub(crate) struct FinishedQuery<'q> {
    pub(crate) settings: &'q EngineSettings,
    pub(crate) listeners: Option<&'q Listeners>,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) values: Option<String>,
    pub(crate) place: Option<&'static Location<'static>>,
    pub(crate) started: SystemTime,
    pub(crate) elapsed: Duration,
    pub(crate) rows: Option<u64>,
    pub(crate) error: Option<&'static str>,
}

/// Whether anybody wants to know of the queries on an engine with these settings.
pub(crate) fn is_wanted(settings: &EngineSettings, listeners: Option<&Listeners>) -> bool {
    meters::has_recorder()
        || settings.options.log_slow_queries.is_some()
        || event::is_enabled(settings)
        || event::is_span_enabled()
        || listeners.map_or_else(is_task_recording, Listeners::is_recording)
}

impl FinishedQuery<'_> {
    /// Tells the query, which is the statement `sql`, to all who listen.
    pub(crate) fn tell(&self, sql: &str) {
        self.tell_as(&StatementText::of(Dialect::of(self.settings.url.backend()), sql), None);
    }

    /// As [`tell`](Self::tell), for a query whose text was read before, and which may have a span.
    pub(super) fn tell_as(&self, text: &StatementText, span: Option<&Span>) {
        let is_enabled = event::is_enabled(self.settings);
        let slow = self.settings.options.log_slow_queries;
        let is_slow = slow.is_some_and(|limit| self.elapsed >= limit);
        let is_control = text.summary().is_transaction_control();
        let nobody = Listeners::default();
        let listeners = self.listeners.unwrap_or(&nobody);
        let is_recorded = listeners.is_recording();
        if !is_control && meters::has_recorder() {
            self.measure(text.summary());
        }
        if !is_enabled && !is_slow && !is_recorded && span.is_none() {
            return;
        }
        let query = self.recorded(text);
        if let Some(span) = span {
            event::end_span(span, &query);
        }
        if is_enabled {
            event::emit(self, &query);
        }
        if is_slow {
            event::warn_slow(&query);
        }
        if is_recorded {
            listeners.record(&query, is_control);
        }
    }

    fn measure(&self, summary: &Summary) {
        let EngineSettings { key, role, has_metrics_by_tenant, .. } = *self.settings;
        meters::note_query(
            key,
            role,
            self.tenant.as_deref().filter(|_| has_metrics_by_tenant),
            summary.table.as_deref(),
            summary.operation.as_deref().unwrap_or_default(),
            self.elapsed,
            self.error,
        );
    }

    fn recorded(&self, text: &StatementText) -> RecordedQuery {
        let Summary { operation, table } = text.summary().clone();
        RecordedQuery {
            statement: Arc::clone(text.masked()),
            bind: self.settings.key,
            tenant: self.tenant.clone(),
            role: self.settings.role,
            operation,
            table,
            started: self.started,
            elapsed: self.elapsed,
            place: self.place,
            rows: self.rows,
            error: self.error,
        }
    }
}
