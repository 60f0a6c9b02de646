//! A registry with one connection: what a borrower does with it, and what the next borrower and others then see.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{ByKey, Registry, ResetOnReturn};

use super::{Backend, NAME, database};

diesel::table! {
    t (v) {
        v -> Text,
    }
}

pub(crate) type Session = registry_core::Session<ByKey<Backend>>;

/// The limit for one case. It is generous, as the machine may be busy.
const LIMIT: Duration = Duration::from_secs(20);

/// A table whose rows show in which transaction they were inserted.
pub(crate) const CREATE: &str = "CREATE TABLE t (v VARCHAR(100) PRIMARY KEY NOT NULL)";

pub(crate) const EVERY_RESET: [ResetOnReturn; 3] =
    [ResetOnReturn::Auto, ResetOnReturn::Rollback, ResetOnReturn::Full];

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// How statements reach the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum How {
    /// As a batch, a text of one or several statements.
    Batch,
    /// As a query of Diesel's, which is a prepared statement.
    Query,
}

/// A database, a connection outside every registry, and the failures so far.
pub(crate) struct Rig {
    pub(crate) url: String,
    pub(crate) outside: Backend,
    faults: Vec<String>,
}

impl Rig {
    /// A new database on which these statements were run.
    pub(crate) async fn new(setup: &[&str]) -> Self {
        let url = database();
        // Diesel opens SQLite by a path instead of a URL.
        let address = url.strip_prefix("sqlite://").unwrap_or(&url);
        let mut outside = Backend::establish(address).await.expect("a database");
        if NAME == "sqlite" {
            outside
                .batch_execute("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL")
                .await
                .expect("pragmas");
        }
        for statement in setup {
            outside.batch_execute(statement).await.expect(statement);
        }
        Self { url, outside, faults: Vec::new() }
    }

    /// A registry with one connection, so that the next session gets the connection of the last one.
    pub(crate) fn registry(&self, settings: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
        let bind = BindSettings::new(self.url.as_str())
            .max_connections(1)
            .check_idle_after(Duration::from_secs(60))
            .acquire_timeout(Duration::from_secs(10));
        Registry::builder().bind("default", settings(bind)).build().expect("good settings")
    }

    pub(crate) async fn prepare(&mut self, statement: &str) {
        self.outside.batch_execute(statement).await.expect(statement);
    }

    /// The rows of the table as another connection sees them.
    pub(crate) async fn rows(&mut self) -> Vec<String> {
        t::table.select(t::v).order(t::v).load(&mut self.outside).await.expect("rows")
    }

    pub(crate) fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// Closes the registries of a case and waits until the server has noticed.
    async fn over<const N: usize>(&mut self, registries: [Registry; N]) {
        for registry in registries {
            registry.close_within(Duration::from_secs(5)).await;
        }
        let others = match NAME {
            "postgres" => {
                "SELECT count(*) AS value FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()"
            }
            "mysql" => {
                "SELECT count(*) AS value FROM information_schema.processlist \
                 WHERE db = DATABASE() AND id <> CONNECTION_ID()"
            }
            _ => return,
        };
        let deadline = std::time::Instant::now() + LIMIT;
        loop {
            let count: Count =
                sql_query(others).get_result(&mut self.outside).await.expect("a number");
            if count.value == 0 {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "the case's connection stays open");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// A borrower runs each of the lines, inserts a row and returns its connection. Its row must not be part of the
    /// next borrower's transaction, and the row of the next borrower must be committed.
    pub(crate) async fn transaction_is_undone(&mut self, lines: &[&str]) {
        for reset in EVERY_RESET {
            self.prepare("DELETE FROM t").await;
            let registry = self.registry(|bind| bind.reset_on_return(reset));
            let case = async {
                let mut first = session(&registry).await?;
                run(&mut first, lines, How::Batch).await?;
                // Inside the transaction, if there is one and it has not failed.
                let _ = first.batch_execute("INSERT INTO t VALUES ('a')").await;
                drop(first);
                let mut second = session(&registry).await?;
                diesel::insert_into(t::table)
                    .values(t::v.eq("b"))
                    .execute(&mut *second)
                    .await
                    .map_err(|error| format!("the next borrower cannot insert: {error}"))?;
                second
                    .batch_execute("SELECT 1")
                    .await
                    .map_err(|error| format!("the next borrower cannot select: {error}"))
            };
            let outcome = within(case).await;
            let rows = self.rows().await;
            match outcome {
                Err(problem) => self.fault(format!("{reset:?}, {lines:?}: {problem}")),
                Ok(()) if rows != ["b"] => {
                    self.fault(format!("{reset:?}, {lines:?}: everybody sees {rows:?}"));
                }
                Ok(()) => {}
            }
            self.over([registry]).await;
        }
    }

    /// A borrower runs each of the lines and returns its connection. The next one must get the same answer to `probe`
    /// as a borrower of a new connection.
    pub(crate) async fn nothing_is_left(
        &mut self,
        resets: &[ResetOnReturn],
        settings: impl Fn(BindSettings) -> BindSettings,
        lines: &[&str],
        probe: &str,
    ) {
        for reset in resets {
            for how in [How::Batch, How::Query] {
                if how == How::Query && lines.iter().any(|line| line.contains(';')) {
                    continue;
                }
                let registry = || self.registry(|bind| settings(bind.reset_on_return(*reset)));
                let (fresh, lent) = (registry(), registry());
                let case = async {
                    let expected = seen(&mut session(&fresh).await?, probe).await;
                    fresh.close_within(Duration::from_secs(5)).await;
                    let mut first = session(&lent).await?;
                    let outcome = run(&mut first, lines, how).await;
                    if how == How::Batch {
                        outcome?;
                    }
                    drop(first);
                    let found = seen(&mut session(&lent).await?, probe).await;
                    if found == expected {
                        return Ok(());
                    }
                    Err(format!("`{probe}` is {found:?}, and not {expected:?}"))
                };
                if let Err(problem) = within(case).await {
                    self.fault(format!("{reset:?}, {how:?}, {lines:?}: {problem}"));
                }
                self.over([fresh, lent]).await;
            }
        }
    }

    /// Fails with all failures together, if there are any.
    pub(crate) fn finish(self) {
        assert!(self.faults.is_empty(), "{}:\n{}", self.faults.len(), self.faults.join("\n"));
    }
}

pub(crate) async fn session(registry: &Registry) -> Result<Session, String> {
    let session = registry.session_by_key::<Backend>("default").await;
    session.map_err(|error| format!("no session: {:?}", crate::support::causes(&error)))
}

/// Runs each line. A line that begins with `!` must fail; one that begins with `?` may fail.
pub(crate) async fn run(session: &mut Session, lines: &[&str], how: How) -> Result<(), String> {
    for line in lines {
        let sql = line.trim_start_matches(['!', '?']);
        let outcome = match how {
            How::Batch => session.batch_execute(sql).await,
            How::Query => sql_query(sql).execute(&mut **session).await.map(|_| ()),
        };
        let (may_fail, must_fail) = (line.starts_with('?'), line.starts_with('!'));
        match outcome {
            Ok(()) if must_fail => return Err(format!("the test expects `{sql}` to fail")),
            Err(error) if !may_fail && !must_fail => {
                return Err(format!("the test expects `{sql}` to work: {error}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The text that a query returns, the number of rows that a statement changes, or its error.
pub(crate) async fn seen(session: &mut Session, probe: &str) -> Result<Option<String>, String> {
    if probe.starts_with("SELECT") {
        let row = sql_query(probe).get_result::<Seen>(&mut **session).await;
        row.map(|row| row.value).map_err(|error| error.to_string())
    } else {
        let rows = sql_query(probe).execute(&mut **session).await;
        rows.map(|rows| Some(rows.to_string())).map_err(|error| error.to_string())
    }
}

async fn within(case: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::time::timeout(LIMIT, case)
        .await
        .unwrap_or_else(|_| Err(format!("it is not over within {LIMIT:?}")))
}
