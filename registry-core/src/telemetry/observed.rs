//! A query while it runs.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use diesel::result::Error;
use tracing::Span;

use super::event;
use super::finished::{FinishedQuery, Statement};
use super::listeners::Listeners;
use super::text::StatementText;
use crate::attribution::attributed;
use crate::cause::error_kind;
use crate::settings::EngineSettings;
use crate::sql::Dialect;

/// The kind of the error of a query whose future was dropped.
pub(super) const CANCELLED: &str = "cancelled";

/// A query that is run with [`RunQueryDsl`](crate::RunQueryDsl), from the moment that it is sent.
///
/// It holds nothing if nobody listens. A drop ends it, as it has failed or, without an error, was cancelled.
pub(crate) struct ObservedQuery(Option<Box<Observed>>);

struct Observed {
    settings: Arc<EngineSettings>,
    listeners: Option<Listeners>,
    tenant: Option<Arc<str>>,
    text: Arc<StatementText>,
    values: Option<String>,
    place: &'static Location<'static>,
    span: Option<Span>,
    started: SystemTime,
    at: Instant,
    rows: Option<u64>,
    /// The error of the last try.
    error: Option<&'static str>,
    /// Whether the last try has failed, or found no row.
    has_failed: bool,
}

/// The connection that a query is run on, in the terms of those who listen.
pub(crate) struct QuerySubject<'c> {
    pub(crate) settings: &'c Arc<EngineSettings>,
    pub(crate) listeners: Option<Listeners>,
    pub(crate) tenant: Option<Arc<str>>,
}

impl ObservedQuery {
    /// A query that is about to be sent. `statement` is asked for its text, with its values if the argument is true, only if
    /// somebody listens. `subject` is `None` if nobody does.
    pub(crate) fn begin(
        subject: Option<QuerySubject<'_>>,
        place: &'static Location<'static>,
        statement: impl FnOnce(bool) -> Statement,
    ) -> Self {
        let Some(subject) = subject else { return Self(None) };
        let Statement { sql, values } = statement(subject.settings.tells_values());
        let QuerySubject { settings, listeners, tenant } = subject;
        let text = StatementText::of(Dialect::of(settings.url.backend()), &sql);
        let span = event::is_span_enabled()
            .then(|| event::span(settings, tenant.as_deref(), text.summary()));
        Self(Some(Box::new(Observed {
            settings: Arc::clone(settings),
            listeners,
            tenant,
            text,
            values,
            place,
            span,
            started: SystemTime::now(),
            at: Instant::now(),
            rows: None,
            error: None,
            has_failed: false,
        })))
    }

    /// Runs `future`, which sends the query or reads its rows.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            None => future.await,
            Some(observed) => attributed(observed.span.as_ref(), future).await,
        }
    }

    /// Calls `work` in the span of the query, if it has one.
    pub(crate) fn in_span<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.0.as_ref().and_then(|observed| observed.span.as_ref()) {
            Some(span) => span.in_scope(work),
            None => work(),
        }
    }

    /// A try has failed.
    pub(crate) fn note_error(&mut self, error: &Error) {
        let Some(observed) = &mut self.0 else { return };
        observed.has_failed = true;
        match error {
            // The query has succeeded, and has no row.
            Error::NotFound => observed.rows = Some(0),
            error => observed.error = Some(error_kind(error)),
        }
    }

    /// Another row has arrived.
    pub(crate) fn note_row(&mut self) {
        if let Some(observed) = &mut self.0 {
            observed.rows = Some(observed.rows.unwrap_or_default() + 1);
        }
    }

    /// It is about to be run again, on an engine with these settings, which may be one of another server. What is told is what
    /// the last run has done.
    pub(crate) fn run_again(&mut self, on: Option<&Arc<EngineSettings>>) {
        let Some(observed) = &mut self.0 else { return };
        (observed.rows, observed.error, observed.has_failed) = (None, None, false);
        let Some(settings) = on else { return };
        if let Some(span) = &observed.span
            && settings.role != observed.settings.role
        {
            event::note_role(span, settings);
        }
        observed.settings = Arc::clone(settings);
    }

    /// The query has succeeded, with that many rows.
    pub(crate) fn end_with(&mut self, rows: usize) {
        if let Some(observed) = &mut self.0 {
            observed.rows = Some(rows as u64);
        }
        self.end();
    }

    /// All rows have arrived.
    pub(crate) fn end_of_rows(&mut self) {
        if let Some(observed) = &mut self.0 {
            observed.rows.get_or_insert(0);
        }
        self.end();
    }

    /// The query has ended as it was noted before.
    pub(crate) fn end(&mut self) {
        if let Some(observed) = self.0.take() {
            observed.tell();
        }
    }
}

impl Drop for ObservedQuery {
    fn drop(&mut self) {
        if let Some(observed) = &mut self.0
            && !observed.has_failed
        {
            observed.error = Some(CANCELLED);
        }
        self.end();
    }
}

impl Observed {
    fn tell(self) {
        let Self { settings, listeners, tenant, text, values, place, span, .. } = self;
        let finished = FinishedQuery {
            settings: &settings,
            listeners: listeners.as_ref(),
            tenant,
            values,
            place: Some(place),
            started: self.started,
            elapsed: self.at.elapsed(),
            rows: self.rows,
            error: self.error,
        };
        finished.tell_as(&text, span.as_ref());
    }
}
