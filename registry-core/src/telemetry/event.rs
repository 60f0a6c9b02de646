//! The event and the span of a query.

use tracing::{Level, Span};

use super::finished::FinishedQuery;
use super::query::RecordedQuery;
use super::recorder::Repeated;
use crate::settings::{BackendKind, EngineSettings};
use crate::sql::Summary;

/// Whether somebody listens to the event of a query on an engine with these settings.
pub(super) fn is_enabled(settings: &EngineSettings) -> bool {
    if settings.options.echo {
        tracing::event_enabled!(target: "registry::query", Level::INFO)
    } else {
        tracing::event_enabled!(target: "registry::query", Level::DEBUG)
    }
}

/// The name of a database system in OpenTelemetry's semantic conventions. MariaDB is told from MySQL by its server alone, so
/// both are `mysql`.
fn system_name(backend: BackendKind) -> &'static str {
    match backend {
        BackendKind::Postgres => "postgresql",
        BackendKind::Mysql => "mysql",
        BackendKind::Sqlite => "sqlite",
    }
}

/// The name of the database: of SQLite its file, without the folders.
fn namespace(settings: &EngineSettings) -> Option<String> {
    settings.url.database_name().or_else(|| {
        let file = settings.url.sqlite_file()?.path()?.file_name()?;
        Some(file.to_string_lossy().into_owned())
    })
}

/// Emits the event of a query.
pub(super) fn emit(finished: &FinishedQuery<'_>, query: &RecordedQuery) {
    macro_rules! event {
        ($level:ident) => {
            tracing::event!(
                target: "registry::query",
                Level::$level,
                bind = %query.bind,
                tenant = query.tenant.as_deref(),
                role = %query.role,
                elapsed = query.elapsed.as_secs_f64(),
                rows = query.rows,
                place = query.place.map(tracing::field::display),
                db.system.name = system_name(finished.settings.url.backend()),
                db.namespace = namespace(finished.settings),
                db.collection.name = query.table.as_deref(),
                db.operation.name = query.operation.as_deref(),
                db.query.summary = summary_text(query.operation.as_deref(), query.table.as_deref()),
                db.query.text = &*query.statement,
                "error.type" = query.error.map(error_type),
                values = finished.values.as_deref(),
                "query"
            )
        };
    }
    if finished.settings.options.echo { event!(INFO) } else { event!(DEBUG) }
}

/// What a query does, and to which table, in a few words: `SELECT events`.
fn summary_text(operation: Option<&str>, table: Option<&str>) -> Option<String> {
    let operation = operation?;
    Some(table.map_or_else(|| operation.to_owned(), |table| format!("{operation} {table}")))
}

/// The name of a span, as OpenTelemetry's semantic conventions want it: the summary, or else the database system.
fn span_name(summary: Option<&str>, backend: BackendKind) -> &str {
    summary.unwrap_or_else(|| system_name(backend))
}

/// The kind of an error as OpenTelemetry's semantic conventions want it: they reserve a word for all that has no kind.
fn error_type(kind: &'static str) -> &'static str {
    if kind == "other" { "_OTHER" } else { kind }
}

/// Whether somebody listens to the span of a query.
pub(super) fn is_span_enabled() -> bool {
    tracing::enabled!(target: "registry::span", Level::DEBUG)
}

/// The span around a query, for traces. Its name is constant, and `otel.name` says what the query does.
pub(super) fn span(settings: &EngineSettings, tenant: Option<&str>, read: &Summary) -> Span {
    let (operation, table) = (read.operation.as_deref(), read.table.as_deref());
    let summary = summary_text(operation, table);
    tracing::debug_span!(
        target: "registry::span",
        "query",
        otel.name = span_name(summary.as_deref(), settings.url.backend()),
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        bind = %settings.key,
        tenant,
        role = %settings.role,
        rows = tracing::field::Empty,
        db.system.name = system_name(settings.url.backend()),
        db.namespace = namespace(settings),
        db.collection.name = table,
        db.operation.name = operation,
        db.query.summary = summary.as_deref(),
        db.query.text = tracing::field::Empty,
        "error.type" = tracing::field::Empty,
    )
}

/// Records in the span of a query that it is run on another server now.
pub(super) fn note_role(span: &Span, settings: &EngineSettings) {
    span.record("role", tracing::field::display(settings.role));
}

/// Records in the span of a query how it has ended.
pub(super) fn end_span(span: &Span, query: &RecordedQuery) {
    span.record("db.query.text", &*query.statement);
    if let Some(rows) = query.rows {
        // `tracing-opentelemetry` shows a signed number as a number, and an unsigned one as text.
        span.record("rows", i64::try_from(rows).unwrap_or(i64::MAX));
    }
    if let Some(error) = query.error {
        span.record("error.type", error_type(error));
        span.record("otel.status_code", "ERROR");
    }
}

/// Warns of a query that is run many times in a scope from one place.
pub(super) fn warn_repeated(query: &RecordedQuery, repeated: &Repeated) {
    tracing::warn!(
        target: "registry",
        bind = %query.bind,
        tenant = query.tenant.as_deref(),
        place = %repeated.place,
        runs = repeated.runs,
        sql = &*query.statement,
        "a query is run many times in a scope from one place: one query for all the rows may do (said once for each scope, \
         statement and place)"
    );
}

/// Warns of a query that took long.
pub(super) fn warn_slow(query: &RecordedQuery) {
    tracing::warn!(
        target: "registry",
        bind = %query.bind,
        tenant = query.tenant.as_deref(),
        elapsed = query.elapsed.as_secs_f64(),
        sql = &*query.statement,
        place = query.place.map(tracing::field::display),
        "slow query"
    );
}

#[cfg(test)]
mod tests {
    use diesel::result::Error;

    use super::*;
    use crate::cause::error_kind;
    use crate::sql::{Dialect, summary};

    fn name(sql: &str) -> String {
        let read = summary(Dialect::Postgres, sql);
        let summary = summary_text(read.operation.as_deref(), read.table.as_deref());
        span_name(summary.as_deref(), BackendKind::Postgres).to_owned()
    }

    #[test]
    fn a_span_is_named_after_its_summary_or_else_its_database_system() {
        assert_eq!(name("SELECT id FROM app.events WHERE id = $1"), "SELECT app.events");
        assert_eq!(name("COMMIT"), "COMMIT");
        assert_eq!(name("\"no statement\""), "postgresql");
    }

    #[test]
    fn an_error_without_a_kind_has_the_reserved_word() {
        assert_eq!(error_type(error_kind(&Error::RollbackTransaction)), "_OTHER");
        assert_eq!(error_type(error_kind(&Error::BrokenTransactionManager)), "broken_transaction");
    }
}
