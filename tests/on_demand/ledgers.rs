//! What a server itself sees of migrations of all tenants with a ledger: the queries, the connections, and the lease.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, AsyncMysqlConnection, AsyncPgConnection};
use futures_util::StreamExt;
use futures_util::stream::iter;
use registry_core::tenant::{TenantResult, tenant_names};
use registry_core::{BindSettings, MigrateTenantsError, Registry};

use crate::support::proxy::Proxy;
use crate::support::steps::{Step, Steps, step};
use crate::support::{
    Server, causes, eventually, fresh_folder, mariadb, mortal_mariadb, mortal_postgres, postgres,
    run_sql, sqlite_file,
};

mod on_postgres {
    registry_core::binds! {
        pub(super) Crm: Postgres = "crm";
        pub(super) Main: Postgres = "default";
    }
}

mod on_mysql {
    registry_core::binds! {
        pub(super) Crm: Mysql = "crm";
        pub(super) Main: Mysql = "default";
    }
}

mod on_sqlite {
    registry_core::binds! {
        pub(super) Crm: Sqlite = "crm";
        pub(super) Main: Sqlite = "default";
    }
}

const RUNS: Step = step("1_runs", "CREATE TABLE runs (version INTEGER NOT NULL)");
const SECOND: Step = step("2_second", "INSERT INTO runs VALUES (2)");

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("t{number}")).collect()
}

fn tenants(server: &Server, count: usize) -> String {
    server.tenants(names(count).iter().map(String::as_str))
}

fn registry(crm: &str, main: &str) -> Registry {
    Registry::builder().bind("crm", crm).bind("default", main).build().expect("good settings")
}

/// The lines of the server's log since `from`, in bytes.
fn log_since(server: &Server, from: usize) -> (Vec<String>, usize) {
    let log = std::fs::read(server.folder().join("log")).expect("a log");
    let new = String::from_utf8_lossy(&log[from..]).lines().map(str::to_owned).collect();
    (new, log.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_with_nothing_to_do_is_one_query_on_postgresql() {
    const TENANTS: usize = 12;
    let server = mortal_postgres().await;
    let (crm, main) = (tenants(&server, TENANTS), server.database("main"));
    for setting in ["log_statement = 'all'", "log_connections = on"] {
        server.execute(&format!("ALTER SYSTEM SET {setting}"));
    }
    server.execute("SELECT pg_reload_conf()");
    let run = || {
        registry(&crm, &main)
            .migrate_tenants::<on_postgres::Crm>(
                tenant_names(names(TENANTS)),
                Steps(vec![RUNS, SECOND]),
            )
            .ledger::<on_postgres::Main>()
    };
    let (_, from) = log_since(&server, 0);
    assert_eq!(run().await.expect("all are migrated").applied, TENANTS as u64);
    let prefix = crm.rsplit('/').next().expect("a database").replace("{tenant}", "");
    let of_tenants = |line: &&String| {
        line.contains("connection authorized") && line.contains(&format!("database={prefix}"))
    };
    let (lines, from) = log_since(&server, from);
    assert!(lines.iter().filter(of_tenants).count() >= TENANTS, "the log has them");

    assert_eq!(run().await.expect("nothing to do").up_to_date, TENANTS as u64);
    // The log is written before a statement is answered.
    let (lines, _) = log_since(&server, from);
    assert_eq!(lines.iter().filter(of_tenants).count(), 0, "{lines:#?}");
    let queries: Vec<_> = lines.iter().filter(|line| line.contains("__registry")).collect();
    assert_eq!(queries.len(), 1, "{queries:#?}");
    assert!(queries[0].contains("execute") && queries[0].contains("SELECT"), "{queries:#?}");
    for setting in ["log_statement", "log_connections"] {
        server.execute(&format!("ALTER SYSTEM RESET {setting}"));
    }
    server.execute("SELECT pg_reload_conf()");
}

async fn on_mariadb(url: &str, query: &str) -> i64 {
    let mut connection = AsyncMysqlConnection::establish(url).await.expect("a connection");
    let count = diesel::dsl::sql::<BigInt>(query);
    diesel_async::RunQueryDsl::get_result(count, &mut connection).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_with_nothing_to_do_is_one_query_on_mariadb() {
    const TENANTS: usize = 12;
    let server = mortal_mariadb().await;
    let (crm, main) = (tenants(&server, TENANTS), server.database("main"));
    for setting in ["log_output = 'TABLE'", "general_log = 1"] {
        server.execute(&format!("SET GLOBAL {setting}"));
    }
    let run = || {
        registry(&crm, &main)
            .migrate_tenants::<on_mysql::Crm>(
                tenant_names(names(TENANTS)),
                Steps(vec![RUNS, SECOND]),
            )
            .ledger::<on_mysql::Main>()
    };
    let prefix = crm.rsplit('/').next().expect("a database").replace("{tenant}", "");
    let connections = format!(
        "(SELECT count(*) FROM mysql.general_log WHERE command_type = 'Connect' \
         AND argument LIKE '%{}%')",
        prefix.replace('_', "\\_")
    );
    let queries = "(SELECT count(*) FROM mysql.general_log WHERE command_type IN ('Execute', 'Query') \
                   AND argument LIKE '%`\\_\\_registry%')";
    let url = server.url();
    assert_eq!(run().await.expect("all are migrated").applied, TENANTS as u64);
    assert!(on_mariadb(&url, &connections).await >= TENANTS as i64, "the log has them");
    server.execute("TRUNCATE mysql.general_log");

    assert_eq!(run().await.expect("nothing to do").up_to_date, TENANTS as u64);
    assert_eq!(on_mariadb(&url, &connections).await, 0);
    assert_eq!(on_mariadb(&url, queries).await, 1);
    server.execute("SET GLOBAL general_log = 0");
}

/// The ledger of PostgreSQL in a database that lacks most characters.
#[tokio::test]
async fn error_that_the_encoding_of_the_ledger_lacks_is_kept_in_part() {
    let (crm, main) = (tenants(postgres(), 2), format!("latin_{}", std::process::id()));
    postgres().execute(&format!(
        "CREATE DATABASE {main} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    ));
    let main = postgres().url().replace("/postgres", &format!("/{main}"));
    let registry = registry(&crm, &main);
    let fails = step("1_fails", "DO $$ BEGIN RAISE EXCEPTION 'it is 壊れた'; END $$");
    let error = registry
        .migrate_tenants::<on_postgres::Crm>(tenant_names(names(2)), Steps(vec![fails]))
        .ledger::<on_postgres::Main>()
        .keep_going()
        .await
        .expect_err("it fails");
    assert!(matches!(error, MigrateTenantsError::Tenants(_)), "{:?}", causes(&error));
    assert!(error.to_string().contains("it is 壊れた"), "{error}");
    let mut connection = AsyncPgConnection::establish(&main).await.expect("a connection");
    let kept = diesel::dsl::sql::<BigInt>(
        "(SELECT count(*) FROM __registry_tenant_migrations WHERE detail LIKE '%it is ???%')",
    );
    let kept: i64 =
        diesel_async::RunQueryDsl::get_result(kept, &mut connection).await.expect("a count");
    assert_eq!(kept, 2);
    drop((registry, connection));
}

/// A run whose first tenant waits for `proceed` in its migration, and a list of its other tenants.
async fn loses_its_lease(server: &'static Server, is_postgres: bool) {
    const TENANTS: usize = 5;
    let proxy = Proxy::before(server.port()).await;
    let (crm, main) = (tenants(server, TENANTS), proxy.url(&server.database("main")));
    let registry = registry(&crm, &main);
    let (ended, outcomes) = mpsc::channel();
    let (proceed, waits) = mpsc::channel::<()>();
    let on_outcome = move |outcome: &registry_core::TenantOutcome| {
        ended.send(matches!(outcome.result, TenantResult::Applied(_))).expect("the test listens");
        let _ = waits.recv_timeout(Duration::from_secs(30));
    };
    let all = || tenant_names(names(TENANTS));
    let steps = || Steps(vec![RUNS, SECOND]);
    let run = if is_postgres {
        let run = registry.migrate_tenants::<on_postgres::Crm>(all(), steps()).jobs(1);
        tokio::spawn(run.ledger::<on_postgres::Main>().on_outcome(on_outcome).into_future())
    } else {
        let run = registry.migrate_tenants::<on_mysql::Crm>(all(), steps()).jobs(1);
        tokio::spawn(run.ledger::<on_mysql::Main>().on_outcome(on_outcome).into_future())
    };
    // The first tenant has ended, and its row is not written yet.
    let outcomes = tokio::task::spawn_blocking(move || {
        assert!(outcomes.recv_timeout(Duration::from_secs(30)).expect("an outcome"));
        outcomes
    });
    let outcomes = outcomes.await.expect("no panic");
    proxy.cut();
    eventually(|| proxy.open() == 0).await;
    drop(proceed);
    let error = run.await.expect("no panic").expect_err("it has no lease");
    let MigrateTenantsError::LeaseLost { .. } = &error else { panic!("{:?}", causes(&error)) };
    let report = error.report().expect("a run");
    assert_eq!((report.applied, report.not_reached), (1, TENANTS as u64 - 1));
    assert_eq!(outcomes.into_iter().count(), TENANTS - 1, "each has an outcome");
    assert_eq!(
        causes(&error)[0],
        "bind `crm`: the lease in bind `default` was lost, so another run may migrate its tenants (tenants migrated: 1, \
         up to date: 0, failed: 0, not reached: 4)"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_begun_after_the_lease_on_postgresql_was_lost() {
    loses_its_lease(postgres(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_begun_after_the_lease_on_mariadb_was_lost() {
    loses_its_lease(mariadb(), false).await;
}

/// While a tenant takes long, nothing is written to the ledger, and the lease is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_lease_is_noticed_while_a_tenant_takes_long() {
    let proxy = Proxy::before(postgres().port()).await;
    let (crm, main) = (tenants(postgres(), 3), proxy.url(&postgres().database("main")));
    let registry = registry(&crm, &main);
    let first = crm.replace("{tenant}", "t1");
    let mut holder = AsyncPgConnection::establish(&first).await.expect("a connection");
    let held = diesel::sql_query("SELECT pg_advisory_lock(7)");
    diesel_async::RunQueryDsl::execute(held, &mut holder).await.expect("a lock");
    let waits = step("1_waits", "SELECT pg_advisory_xact_lock(7)");
    let not_reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&not_reached);
    let run = registry
        .migrate_tenants::<on_postgres::Crm>(tenant_names(names(3)), Steps(vec![waits]))
        .ledger::<on_postgres::Main>()
        .jobs(1)
        .on_outcome(move |outcome| {
            let is_not_reached = matches!(outcome.result, TenantResult::NotReached);
            counter.fetch_add(usize::from(is_not_reached), Ordering::SeqCst);
        });
    let run = tokio::spawn(run.into_future());
    // It has the lease, and waits in its first tenant.
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7";
    let mut asks = AsyncPgConnection::establish(&first).await.expect("a connection");
    loop {
        let count = diesel::dsl::sql::<BigInt>(&format!("({waiting})"));
        let count: i64 =
            diesel_async::RunQueryDsl::get_result(count, &mut asks).await.expect("a count");
        if count == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.cut();
    eventually(|| not_reached.load(Ordering::SeqCst) == 2).await;
    drop(holder);
    let error = run.await.expect("no panic").expect_err("it has no lease");
    assert!(matches!(error, MigrateTenantsError::LeaseLost { .. }), "{:?}", causes(&error));
    assert_eq!(error.report().expect("a run").applied, 1, "what ran came to its end");
}

/// A ledger in memory lasts as long as its engine, and so does its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledger_in_memory_keeps_two_runs_of_a_process_apart() {
    let folder = fresh_folder();
    for name in names(3) {
        std::fs::write(folder.join(format!("{name}.db")), "").expect("an empty file");
    }
    let crm = format!("sqlite://{}/{{tenant}}.db", folder.display());
    let registry = registry(&crm, "sqlite::memory:");
    let (ended, outcomes) = mpsc::channel();
    let (proceed, waits) = mpsc::channel::<()>();
    let run = || {
        let all = tenant_names(names(3));
        registry
            .migrate_tenants::<on_sqlite::Crm>(all, Steps(vec![RUNS, SECOND]))
            .ledger::<on_sqlite::Main>()
    };
    let first = run().on_outcome(move |_| {
        ended.send(()).expect("the test listens");
        let _ = waits.recv_timeout(Duration::from_secs(30));
    });
    let first = tokio::spawn(first.into_future());
    let first_outcome = move || outcomes.recv_timeout(Duration::from_secs(30)).map(|()| outcomes);
    let outcomes = tokio::task::spawn_blocking(first_outcome).await.expect("no panic");
    let error = run().wait_for_lease(Duration::ZERO).await.expect_err("the first one has it");
    let MigrateTenantsError::LeaseHeld { holder, .. } = &error else { panic!("{error:?}") };
    let this = format!("process {} on ", std::process::id());
    assert!(holder.as_ref().is_some_and(|holder| holder.starts_with(&this)), "{holder:?}");
    let second = tokio::spawn(run().into_future());
    drop(proceed);
    assert_eq!(first.await.expect("no panic").expect("all are migrated").applied, 3);
    let report = second.await.expect("no panic").expect("all are migrated");
    assert_eq!((report.applied, report.up_to_date), (0, 3));
    drop(outcomes);
}

/// Names are read no further than they are needed, however many there are.
#[tokio::test]
async fn names_are_asked_of_the_ledger_ten_thousand_at_a_time() {
    const NAMES: usize = 25_000;
    let folder = fresh_folder();
    std::fs::write(folder.join("t1.db"), "").expect("an empty file");
    let crm = format!("sqlite://{}/{{tenant}}.db", folder.display());
    let registry = registry(&crm, &sqlite_file());
    let one = registry.migrate_tenants::<on_sqlite::Crm>(tenant_names(names(1)), Steps(vec![RUNS]));
    one.ledger::<on_sqlite::Main>().await.expect("it is migrated");
    run_sql::<on_sqlite::Main>(
        &registry,
        &format!(
            "WITH RECURSIVE numbers(number) AS \
             (SELECT 2 UNION ALL SELECT number + 1 FROM numbers WHERE number < {NAMES}) \
             INSERT INTO __registry_tenant_migrations (bind, tenant, digest, place, state, detail, at) \
             SELECT bind, 't' || number, digest, place, state, detail, at \
             FROM __registry_tenant_migrations, numbers"
        ),
    )
    .await;
    let (taken, ended, most) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let given = iter(names(NAMES)).inspect({
        let (taken, ended, most) = (Arc::clone(&taken), Arc::clone(&ended), Arc::clone(&most));
        move |_| {
            let taken = taken.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(taken - ended.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
    let report = registry
        .migrate_tenants::<on_sqlite::Crm>(given, Steps(vec![RUNS]))
        .ledger::<on_sqlite::Main>()
        .on_outcome({
            let ended = Arc::clone(&ended);
            move |_| {
                ended.fetch_add(1, Ordering::SeqCst);
            }
        })
        .await
        .expect("nothing to do");
    assert_eq!((report.up_to_date, report.tenants()), (NAMES as u64, NAMES as u64));
    assert_eq!(most.load(Ordering::SeqCst), 10_000);
}

/// With a schema for each tenant, the connections of the bind are the bound.
#[tokio::test]
async fn schemas_of_tenants_are_migrated_and_kept() {
    let url = postgres().database("schemas");
    for name in names(5) {
        postgres().execute_in(&url, &format!("CREATE SCHEMA tenant_{name}"));
    }
    let settings = BindSettings::new(url.as_str()).tenant_schema("tenant_{tenant}");
    let registry = Registry::builder()
        .bind("crm", settings.max_connections(2))
        .bind("default", url.as_str())
        .build()
        .expect("good settings");
    let run = || {
        registry
            .migrate_tenants::<on_postgres::Crm>(tenant_names(names(6)), Steps(vec![RUNS, SECOND]))
            .ledger::<on_postgres::Main>()
            .jobs(100)
            .keep_going()
    };
    for (applied, up_to_date) in [(5, 0), (0, 5)] {
        let error = run().await.expect_err("one has no schema");
        let report = error.report().expect("a run");
        let counts = (report.applied, report.up_to_date, report.failed);
        assert_eq!(counts, (applied, up_to_date, 1), "{error}");
        assert!(report.failures[0].to_string().starts_with("t6: failed: "), "{error}");
    }
    for name in names(5) {
        // Division by zero unless there is one row.
        let once = format!("SELECT 1 / (count(*) = 1)::int FROM tenant_{name}.runs");
        postgres().execute_in(&url, &once);
        postgres().execute_in(&url, &format!("DROP SCHEMA tenant_{name} CASCADE"));
    }
    let error = run().await.expect_err("one has no schema");
    assert_eq!(error.report().expect("a run").up_to_date, 5, "{error}");
}

/// The schemas of a database have one migration lock, so those that wait for it would use up their time limits.
#[tokio::test]
async fn schemas_of_a_database_are_migrated_one_at_a_time() {
    let url = postgres().database("test");
    for name in names(6) {
        postgres().execute_in(&url, &format!("CREATE SCHEMA tenant_{name}"));
    }
    let settings = BindSettings::new(url.as_str()).tenant_schema("tenant_{tenant}");
    let registry = Registry::builder().bind("crm", settings).build().expect("good settings");
    let slow = step("1_slow", "SELECT pg_sleep(0.5)");
    let report = registry
        .migrate_tenants::<on_postgres::Crm>(tenant_names(names(6)), Steps(vec![slow]))
        .limit_each(Duration::from_secs(2))
        .await
        .expect("none waits for another one");
    assert_eq!(report.applied, 6);
}
