//! Tenants in schemas of one PostgreSQL database stay separate, whatever the last tenant has left on the connection and
//! however their tables differ.

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::SimpleAsyncConnection;
use registry_core::{BindSettings, Registry, RunQueryDsl, Session, Tenant, bind_tables};

use crate::support::postgres;

diesel::table! {
    invoices (id) {
        id -> Integer,
        whose -> Text,
    }
}
bind_tables!(db = "crm", backend = Postgres; invoices);

type Crm = <invoices::table as registry_core::Bound>::Bind;

/// The URL of a database in which the tables of the tenants acme and globex have different columns.
async fn prepared() -> String {
    let url = postgres().database("test");
    for (name, kind) in [("acme", "TEXT"), ("globex", "VARCHAR(40)")] {
        postgres().execute_in(
            &url,
            &format!(
                "CREATE SCHEMA tenant_{name}; \
                 CREATE TABLE tenant_{name}.invoices (id INTEGER PRIMARY KEY, whose {kind} NOT NULL); \
                 INSERT INTO tenant_{name}.invoices VALUES (1, '{name}')"
            ),
        );
    }
    url
}

fn registry(url: &str, max_connections: u32) -> Registry {
    let settings =
        BindSettings::new(url).tenant_schema("tenant_{tenant}").max_connections(max_connections);
    Registry::builder().bind("crm", settings).build().expect("good settings")
}

fn tenant(registry: &Registry, name: &str) -> Tenant {
    registry.tenant(name).expect("a good name")
}

async fn session(registry: &Registry, name: &str) -> Result<Session<Crm>, String> {
    let session = tenant(registry, name).session_for::<invoices::table>().await;
    session.map_err(|error| format!("no session: {:?}", crate::support::causes(&error)))
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

async fn word(session: &mut Session<Crm>, query: &str) -> String {
    let word: Word = diesel::sql_query(query).get_result(session).await.expect("a row");
    word.value
}

/// What acme does on the connection. A line that begins with `?` may fail.
const LEAVE: &[&[&str]] = &[
    &["SELECT * INTO TEMP invoices FROM tenant_acme.invoices"],
    &["SELECT * INTO TEMPORARY TABLE invoices FROM invoices"],
    &["SELECT * INTO pg_temp.invoices FROM tenant_acme.invoices"],
    &["/* job 7 */ CREATE TEMP TABLE invoices AS SELECT * FROM tenant_acme.invoices"],
    &["-- job 7\nCREATE TEMP TABLE invoices AS SELECT * FROM tenant_acme.invoices"],
    &["CREATE TABLE pg_temp.invoices AS SELECT * FROM tenant_acme.invoices"],
    &["CREATE OR REPLACE TEMP VIEW invoices AS SELECT * FROM tenant_acme.invoices"],
    &["/* x */ CREATE TEMP VIEW invoices AS SELECT * FROM tenant_acme.invoices"],
    &["CREATE VIEW pg_temp.invoices AS SELECT * FROM tenant_acme.invoices"],
    &["DO $$ BEGIN CREATE TEMP TABLE invoices AS SELECT * FROM tenant_acme.invoices; END $$"],
    &["BEGIN", "COMMIT AND CHAIN"],
    &["BEGIN", "ROLLBACK AND CHAIN"],
    &["BEGIN", "SAVEPOINT s; ROLLBACK WORK TO s"],
    &["BEGIN", "SAVEPOINT s", "ROLLBACK TRANSACTION TO SAVEPOINT s"],
    &["BEGIN", "SELECT 'a; commit ; b'"],
    &["/* x */ BEGIN"],
    &["-- x\nBEGIN"],
    &["BEGIN/* x */"],
    &["BEGIN", "?SELECT 1/0; COMMIT"],
    &["?BEGIN; SELECT 1/0; COMMIT"],
    &["BEGIN", "SET LOCAL search_path = tenant_acme"],
    &["/* x */ SET search_path = tenant_acme"],
    &["(SELECT set_config('search_path', 'tenant_acme', false))"],
    &["EXPLAIN ANALYZE SELECT set_config('search_path', 'tenant_acme', false)"],
    &["?COPY (SELECT set_config('search_path', 'tenant_acme', false)) TO STDOUT"],
    &["SELECT \"set_config\"('search_path', 'tenant_acme', false)"],
    &["UPDATE pg_settings SET setting = 'tenant_acme' WHERE name = 'search_path'"],
    &["BEGIN", "SET search_path = tenant_acme", "COMMIT AND CHAIN"],
    &["SET ROLE pg_monitor"],
    &["/* x */ SET ROLE pg_monitor"],
    &["/* x */ SET default_transaction_read_only = on"],
    &["DISCARD ALL"],
    &["/* x */ DISCARD ALL"],
    &["DEALLOCATE ALL"],
];

/// Checks what globex then sees and can do.
async fn globex(registry: &Registry, number: i32) -> Result<(), String> {
    let mut session = session(registry, "globex").await?;
    only_sees_globex(&mut session).await?;
    let row = (invoices::id.eq(number), invoices::whose.eq("globex"));
    let insert = diesel::insert_into(invoices::table).values(row).execute(&mut session).await;
    insert.map_err(|error| format!("globex cannot insert: {error}"))?;
    // A rollback must not undo the search path, as it would if a transaction of acme's were still open.
    let rollback = session.batch_execute("ROLLBACK").await;
    rollback.map_err(|error| format!("globex cannot roll back: {error}"))?;
    only_sees_globex(&mut session).await
}

async fn only_sees_globex(session: &mut Session<Crm>) -> Result<(), String> {
    let rows = invoices::table.select(invoices::whose).order(invoices::id);
    match rows.load::<String>(session).await {
        Ok(rows) if !rows.is_empty() && rows.iter().all(|whose| whose == "globex") => Ok(()),
        rows => Err(format!("globex sees {rows:?}")),
    }
}

#[tokio::test]
async fn tenant_never_sees_session_state_of_another() {
    let url = prepared().await;
    let outside = Registry::builder().bind("crm", url.as_str()).build().expect("good settings");
    let mut outside = outside.session::<Crm>().await.expect("a session");
    let mut faults = Vec::new();
    for (lines, number) in LEAVE.iter().zip(100..) {
        // With and without a statement that was prepared in acme's turn.
        for is_prepared in [false, true] {
            let number = number * 2 + i32::from(is_prepared);
            let registry = registry(&url, 1);
            let case = async {
                let mut first = session(&registry, "acme").await?;
                if is_prepared {
                    let rows = invoices::table.select(invoices::whose).order(invoices::id);
                    rows.load::<String>(&mut first).await.map_err(|error| error.to_string())?;
                }
                for line in *lines {
                    let outcome = first.batch_execute(line.trim_start_matches('?')).await;
                    if let (Err(error), false) = (outcome, line.starts_with('?')) {
                        return Err(format!("the test expects `{line}` to work: {error}"));
                    }
                }
                drop(first);
                globex(&registry, number).await
            };
            if let Err(fault) = case.await {
                faults.push(format!("{lines:?}, prepared {is_prepared}: {fault}"));
            }
            let counts = format!(
                "SELECT (SELECT count(*) FROM tenant_acme.invoices) || ' of acme, ' || \
                 (SELECT count(*) FROM tenant_globex.invoices WHERE id = {number}) || ' of globex' AS value"
            );
            let counts = word(&mut outside, &counts).await;
            if counts != "1 of acme, 1 of globex" {
                faults.push(format!("{lines:?}, prepared {is_prepared}: afterwards {counts}"));
                outside
                    .batch_execute("DELETE FROM tenant_acme.invoices WHERE id > 1")
                    .await
                    .expect("rows");
            }
            registry.close().await;
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn temporary_table_does_not_shadow_a_tenants_table() {
    let registry = registry(&prepared().await, 1);
    for name in ["acme", "globex", "acme"] {
        let mut session = session(&registry, name).await.expect("a session");
        let path = word(&mut session, "SELECT current_setting('search_path') AS value").await;
        let last = path.rsplit(',').next().map(str::trim);
        assert_eq!(last, Some("pg_temp"), "{path}");
        assert!(path.contains(&format!("tenant_{name}")), "{path}");
        let temporary = "CREATE TEMP TABLE invoices (id INTEGER, whose TEXT)";
        session.batch_execute(temporary).await.expect("it may");
        let whose: String =
            invoices::table.select(invoices::whose).first(&mut session).await.expect("its own row");
        assert_eq!(whose, name);
    }
}

#[tokio::test]
async fn tables_of_different_shape_are_read_in_turn() {
    for max_connections in [1, 2] {
        let registry = registry(&prepared().await, max_connections);
        let mut faults = Vec::new();
        for turn in 0..40 {
            let name = ["acme", "globex"][turn % 2];
            let query = invoices::table.select(invoices::whose).filter(invoices::id.eq(1));
            match query.first::<String>(&tenant(&registry, name)).await {
                Ok(whose) if whose == name => {}
                outcome => faults.push(format!("{turn}, {name}: {outcome:?}")),
            }
            // On a session, failed queries are not repeated.
            let mut session = session(&registry, name).await.expect("a session");
            match query.first::<String>(&mut session).await {
                Ok(whose) if whose == name => {}
                outcome => faults.push(format!("{turn}, {name}, on a session: {outcome:?}")),
            }
        }
        assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_different_shape_are_read_concurrently() {
    let registry = registry(&prepared().await, 4);
    let turns: Vec<_> = (0..90)
        .map(|turn| {
            let registry = registry.clone();
            tokio::spawn(async move {
                let name = ["acme", "globex"][turn % 2];
                let mut session = session(&registry, name).await?;
                let query = invoices::table.select(invoices::whose).filter(invoices::id.eq(1));
                let whose = query.first::<String>(&mut session).await;
                whose.map_err(|error| format!("{name}: {error}")).map(|whose| (whose, name))
            })
        })
        .collect();
    let mut faults = Vec::new();
    for turn in turns {
        match turn.await.expect("no panic") {
            Ok((whose, name)) if whose == name => {}
            outcome => faults.push(format!("{outcome:?}")),
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn tenant_gets_the_connection_that_it_used_last() {
    let registry = registry(&prepared().await, 2);
    let process = "SELECT pg_backend_pid()::text AS value";
    // Both sessions at the same time, so that each gets a connection of its own.
    let (mut acme, mut globex) = (
        session(&registry, "acme").await.expect("a session"),
        session(&registry, "globex").await.expect("a session"),
    );
    let expected = [word(&mut acme, process).await, word(&mut globex, process).await];
    drop((acme, globex));
    for turn in 0..20 {
        let at = turn % 2;
        let mut session = session(&registry, ["acme", "globex"][at]).await.expect("a session");
        assert_eq!(word(&mut session, process).await, expected[at], "turn {turn}");
    }
}
