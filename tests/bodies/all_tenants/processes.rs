//! Runs in processes of their own: killed, and at once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use registry_core::tenant::tenant_names;
use registry_core::{MigrateTenantsError, Registry};

use super::kept::rows;
use super::{Count, Crm, Main, NAME, RUNS, TAKEN, break_tenant, database, databases, names};
use crate::support::proxy::Proxy;
use crate::support::steps::{Step, Steps, step};
use crate::support::{mariadb, postgres};

const CRM: &str = "REGISTRY_TEST_INNER_CRM";
const MAIN: &str = "REGISTRY_TEST_INNER_MAIN";
const TENANTS: &str = "REGISTRY_TEST_INNER_TENANTS";
const SETS: &str = "REGISTRY_TEST_INNER_SETS";
const LEDGER: &str = "REGISTRY_TEST_INNER_LEDGER";
const LEASE: &str = "REGISTRY_TEST_INNER_LEASE";
const HOLDS: &str = "REGISTRY_TEST_INNER_HOLDS";

/// The migrations of the set with that number. Each set has one more than the last, which writes its number.
fn set(number: usize) -> Steps {
    let more = (2..=number).map(|number| -> Step {
        let name: &'static str = format!("{number:03}_step").leak();
        step(name, format!("INSERT INTO runs VALUES ({number})").leak())
    });
    let runs = step("001_runs", RUNS.sql);
    Steps(std::iter::once(runs).chain(more).collect())
}

/// Does nothing when it is run directly: the tests below run it in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inner_process_migrates_all_tenants() {
    let Ok(crm) = std::env::var(CRM) else { return };
    let variable = |name: &str| std::env::var(name).expect("a variable");
    let number = |name: &str| variable(name).parse::<usize>().expect("a number");
    let registry = Registry::builder()
        .bind("crm", crm.as_str())
        .bind("default", variable(MAIN))
        .build()
        .expect("good settings");
    let mut holds = number(HOLDS) == 1;
    let run = registry
        .migrate_tenants::<Crm>(tenant_names(names(number(TENANTS))), set(number(SETS)))
        .wait_for_lease(Duration::from_secs(number(LEASE) as u64))
        .on_outcome(move |outcome| {
            println!("\nseen {outcome}");
            if std::mem::take(&mut holds) {
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).expect("the test says when");
            }
        });
    let run = if number(LEDGER) == 1 { run.ledger::<Main>() } else { run };
    match run.await {
        Ok(report) => println!("\nended {} {}", report.applied, report.up_to_date),
        Err(error @ MigrateTenantsError::LeaseHeld { .. }) => println!("\nheld {error}"),
        Err(error) => println!("\nfailed {error:?}"),
    }
}

/// The arguments of an inner process.
#[derive(Clone, Copy)]
struct Inner<'a> {
    crm: &'a str,
    main: &'a str,
    tenants: usize,
    set: usize,
    has_ledger: bool,
    lease_seconds: u64,
    /// Whether it waits in its first outcome.
    holds: bool,
}

struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Inner<'_> {
    fn start(self) -> Process {
        let (_, module) = module_path!().split_once("::").expect("a module of the test binary");
        let mut child = Command::new(std::env::current_exe().expect("this test binary"))
            .arg(format!("{module}::inner_process_migrates_all_tenants"))
            .args(["--exact", "--nocapture"])
            .env(CRM, self.crm)
            .env(MAIN, self.main)
            .env(TENANTS, self.tenants.to_string())
            .env(SETS, self.set.to_string())
            .env(LEDGER, u8::from(self.has_ledger).to_string())
            .env(LEASE, self.lease_seconds.to_string())
            .env(HOLDS, u8::from(self.holds).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test binary");
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Process { child, stdin, lines }
    }
}

impl Process {
    /// The next line of the scene. `None` if the process has ended.
    fn next(&mut self) -> Option<String> {
        let known = ["seen ", "ended ", "held ", "failed "];
        self.lines
            .by_ref()
            .map_while(std::result::Result::ok)
            .find(|line| known.iter().any(|word| line.starts_with(word)))
    }

    fn last(&mut self) -> String {
        std::iter::from_fn(|| self.next()).last().expect("it says how it ended")
    }

    fn release(&mut self) {
        let mut stdin = self.stdin.take().expect("it is held");
        writeln!(stdin).expect("it waits");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn random(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

/// Expects that a tenant has run each migration up to that of `set`, and none twice.
async fn expect_once(registry: &Registry, tenant: &str, set: usize) {
    let tenant = registry.tenant(tenant).expect("a good name");
    let mut session = tenant.session::<Crm>().await.expect("a session");
    let mut count = async |what: &str| {
        let count = format!("SELECT count({what}) AS count FROM runs WHERE version <= {set}");
        let count = diesel::sql_query(count);
        let count: Count =
            diesel_async::RunQueryDsl::get_result(count, &mut session).await.expect("a count");
        count.count
    };
    let [runs, versions] = [count("*").await, count("DISTINCT version").await];
    let expected = i64::try_from(set).expect("few") - 1;
    assert_eq!((runs, versions), (expected, expected), "{} with {set}", tenant.name());
}

/// Tenants, and what processes of their own are to do with them.
struct Rig {
    crm: String,
    main: String,
    tenants: usize,
    registry: Registry,
}

impl Rig {
    /// `through` may change the URL of the tenants.
    fn new(tenants: usize, through: impl FnOnce(String) -> String) -> Self {
        let (crm, main) = (through(databases(tenants)), database());
        let registry = Registry::builder()
            .bind("crm", crm.as_str())
            .bind("default", main.as_str())
            .max_engines(8)
            .build()
            .expect("good settings");
        Self { crm, main, tenants, registry }
    }

    fn inner(&self, set: usize) -> Inner<'_> {
        Inner {
            crm: &self.crm,
            main: &self.main,
            tenants: self.tenants,
            set,
            has_ledger: true,
            lease_seconds: 30,
            holds: false,
        }
    }

    async fn expect_each_once(&self, set: usize) {
        for name in names(self.tenants) {
            expect_once(&self.registry, &name, set).await;
        }
    }

    /// Kills twenty processes, each after up to that many outcomes, and returns the set of migrations that all tenants have
    /// at the end.
    async fn kill_twenty(&self, outcomes: u64) -> usize {
        // The set to which the rows with a digest belong.
        let mut sets = HashMap::<String, usize>::new();
        let mut set = 3;
        let mut kills = 0;
        while kills < 20 {
            let mut process = self.inner(set).start();
            let mut last = None;
            for _ in 0..=random(outcomes) {
                last = process.next();
            }
            std::thread::sleep(Duration::from_micros(random(20_000)));
            let runs = process.child.try_wait().expect("our child").is_none();
            process.child.kill().expect("our child");
            let status = process.child.wait().expect("our child");
            // What it has still said.
            last = process.lines.by_ref().map_while(std::result::Result::ok).last().or(last);
            assert!(!last.as_deref().unwrap_or_default().starts_with("failed"), "{last:?}");
            kills += usize::from(runs && !status.success());
            // What the ledger says is never ahead of the tenants. The first process may have been killed before there was
            // a ledger. Of many rows, some are looked at.
            let rows = rows(&self.registry).await.unwrap_or_default();
            let every = 1 + rows.len() / 40;
            for row in rows.into_iter().step_by(every) {
                let set = *sets.entry(row.digest).or_insert(set);
                assert_eq!(row.state, "done", "{}", row.detail);
                expect_once(&self.registry, &row.tenant, set).await;
            }
            // This one has come to its end, and the next one has something to do again.
            if status.success() {
                set += 1;
            }
        }
        let last = self.inner(set).start().last();
        assert!(last.starts_with("ended "), "{last}");
        set
    }

    /// Starts two processes at the same time, with the set of migrations after that one.
    async fn run_two(&self, set: usize, has_ledger: bool) {
        let inner = Inner { has_ledger, ..self.inner(set + 1) };
        let mut processes = [inner.start(), inner.start()];
        let mut applied = 0;
        for process in &mut processes {
            let last = process.last();
            let counts = last.strip_prefix("ended ").expect(&last).split_once(' ');
            applied += counts.expect("two").0.parse::<usize>().expect("a number");
        }
        assert_eq!(applied, self.tenants, "one or the other migrates each");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_run_goes_on_where_it_was_twenty_times() {
    let rig = Rig::new(30, |crm| crm);
    let set = rig.kill_twenty(6).await;
    rig.expect_each_once(set).await;
    assert_eq!(rig.inner(set).start().last(), "ended 0 30");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_at_once_run_nothing_twice_three_times() {
    for has_ledger in [true, false] {
        let rig = Rig::new(12, |crm| crm);
        for set in 1..=3 {
            rig.run_two(set, has_ledger).await;
            rig.expect_each_once(set + 1).await;
        }
    }
}

/// With `REGISTRY_TEST_TENANTS=1`, a thousand databases of PostgreSQL, and five thousand files of SQLite. To create them takes
/// minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tenants_are_migrated_by_killed_and_concurrent_processes() {
    let are_many = std::env::var("REGISTRY_TEST_TENANTS").is_ok_and(|value| value == "1");
    let tenants = match (NAME, are_many) {
        ("postgres", true) => 1_000,
        ("sqlite", true) => 5_000,
        ("mysql", true) => 200,
        ("sqlite", false) => 200,
        _ => 40,
    };
    let proxy = match NAME {
        "postgres" => Some(Proxy::before(postgres().port()).await),
        "mysql" => Some(Proxy::before(mariadb().port()).await),
        _ => None,
    };
    let mut clock = Instant::now();
    let mut time = |what: &str| {
        println!("{NAME}: {tenants} tenants: {what}: {:.1?}", clock.elapsed());
        clock = Instant::now();
    };
    let rig = Rig::new(tenants, |crm| match &proxy {
        Some(proxy) => proxy.url(&crm),
        None => crm,
    });
    time("created");
    let mut set = rig.kill_twenty(tenants as u64 / 8).await;
    time("migrated by twenty processes that were killed");
    rig.expect_each_once(set).await;
    time("read");

    let run = |steps: Steps| {
        let all = tenant_names(names(tenants));
        rig.registry.migrate_tenants::<Crm>(all, steps).ledger::<Main>()
    };
    set += 1;
    assert_eq!(run(self::set(set)).await.expect("all are migrated").applied, tenants as u64);
    time("migrated by one process");
    // Nothing can connect to a file that is not there.
    let folder = rig.crm.strip_prefix("sqlite://").and_then(|path| path.rsplit_once('/'));
    let hidden = folder.map(|(folder, _)| (folder.to_owned(), format!("{folder}-hidden")));
    if let Some((folder, hidden)) = &hidden {
        std::fs::rename(folder, hidden).expect("our folder");
    }
    let accepted = proxy.as_ref().map(Proxy::accepted);
    time("prepared");
    assert_eq!(run(self::set(set)).await.expect("nothing to do").up_to_date, tenants as u64);
    time("with nothing to do");
    assert_eq!(proxy.as_ref().map(Proxy::accepted), accepted, "no connection to a tenant");
    if let Some((folder, hidden)) = &hidden {
        std::fs::rename(hidden, folder).expect("our folder");
    }

    let broken = format!("t{}", tenants / 2);
    break_tenant(&rig.registry, &broken).await;
    let Steps(mut steps) = self::set(set);
    steps.push(step("999_taken", TAKEN.sql));
    let error = run(Steps(steps)).keep_going().await.expect_err("one is broken");
    let report = error.report().expect("a run");
    assert_eq!((report.applied, report.failed), (tenants as u64 - 1, 1));
    let failure = report.failures[0].to_string();
    assert!(failure.starts_with(&format!("{broken}: failed: ")), "{failure}");
    assert!(
        failure.contains("`999_taken` failed") && failure.contains("already exists"),
        "{failure}"
    );
    time("migrated, one of them broken");

    for _ in 0..3 {
        rig.run_two(set, true).await;
        set += 1;
        time("migrated by two processes at once");
    }
    rig.expect_each_once(set).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_names_the_process_that_has_the_lease_three_times() {
    let rig = Rig::new(6, |crm| crm);
    for round in 1..=3 {
        let inner = Inner { lease_seconds: 0, holds: true, ..rig.inner(1 + round) };
        let mut first = inner.start();
        assert!(first.next().expect("an outcome").starts_with("seen t"));
        let last = Inner { holds: false, ..inner }.start().last();
        let holder = format!("another run migrates its tenants, process {} on ", first.child.id());
        assert!(last.starts_with("held ") && last.contains(&holder), "{last}");
        // A killed process has no lease any more, and the one after it waits for nothing.
        if round == 2 {
            first.child.kill().expect("our child");
            first.child.wait().expect("our child");
            let last = Inner { holds: false, lease_seconds: 30, ..inner }.start().last();
            assert!(last.starts_with("ended "), "{last}");
        } else {
            first.release();
            assert_eq!(first.last(), "ended 6 0");
        }
    }
}
