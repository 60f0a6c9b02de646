//! Runs in processes of their own: killed, and at once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use registry_core::tenant::tenant_names;
use registry_core::{MigrateTenantsError, Registry};

use super::kept::rows;
use super::{Crm, Main, RUNS, database, databases, names, runs};
use crate::support::steps::{Step, Steps, step};

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

/// Each tenant has run each migration up to that of `set` once.
async fn expect_each_once(registry: &Registry, tenants: usize, set: usize) {
    for name in names(tenants) {
        let expected = i64::try_from(set).expect("few") - 1;
        assert_eq!(runs(registry, &name, "1 = 1").await, expected, "{name}");
        for version in 2..=set {
            assert_eq!(runs(registry, &name, &format!("version = {version}")).await, 1, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_run_goes_on_where_it_was_twenty_times() {
    const TENANTS: usize = 40;
    let (crm, main) = (databases(TENANTS), database());
    let registry = Registry::builder()
        .bind("crm", crm.as_str())
        .bind("default", main.as_str())
        .max_engines(8)
        .build()
        .expect("good settings");
    let mut inner = Inner {
        crm: &crm,
        main: &main,
        tenants: TENANTS,
        set: 3,
        has_ledger: true,
        lease_seconds: 30,
        holds: false,
    };
    // The set to which the rows with a digest belong.
    let mut sets = HashMap::<String, usize>::new();
    let mut kills = 0;
    while kills < 20 {
        let mut process = inner.start();
        let mut last = None;
        for _ in 0..=random(6) {
            last = process.next();
        }
        std::thread::sleep(Duration::from_micros(random(20_000)));
        let killed = process.child.try_wait().expect("our child").is_none();
        process.child.kill().expect("our child");
        let status = process.child.wait().expect("our child");
        // What it has still said.
        last = process.lines.by_ref().map_while(std::result::Result::ok).last().or(last);
        assert!(!last.as_deref().unwrap_or_default().starts_with("failed"), "{last:?}");
        kills += usize::from(killed && !status.success());
        // What the ledger says is never ahead of the tenants.
        // The first process may have been killed before there was a ledger.
        for row in rows(&registry).await.unwrap_or_default() {
            let set = *sets.entry(row.digest).or_insert(inner.set);
            assert_eq!(row.state, "done", "{}", row.detail);
            let expected = i64::try_from(set).expect("few") - 1;
            let found = runs(&registry, &row.tenant, &format!("version <= {set}")).await;
            assert_eq!(found, expected, "{} with {set}", row.tenant);
        }
        if status.success() {
            inner.set += 1;
        }
    }
    let last = inner.start().last();
    assert!(last.starts_with("ended "), "{last}");
    expect_each_once(&registry, TENANTS, inner.set).await;
    assert_eq!(inner.start().last(), format!("ended 0 {TENANTS}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_at_once_run_nothing_twice_three_times() {
    const TENANTS: usize = 12;
    for has_ledger in [true, false] {
        let (crm, main) = (databases(TENANTS), database());
        let registry = Registry::builder()
            .bind("crm", crm.as_str())
            .bind("default", main.as_str())
            .max_engines(8)
            .build()
            .expect("good settings");
        for round in 1..=3 {
            let inner = Inner {
                crm: &crm,
                main: &main,
                tenants: TENANTS,
                set: 1 + round,
                has_ledger,
                lease_seconds: 30,
                holds: false,
            };
            let mut processes = [inner.start(), inner.start()];
            let mut applied = 0;
            for process in &mut processes {
                let last = process.last();
                let counts = last.strip_prefix("ended ").expect(&last).split_once(' ');
                applied += counts.expect("two").0.parse::<usize>().expect("a number");
            }
            assert_eq!(applied, TENANTS, "one or the other migrates each");
            expect_each_once(&registry, TENANTS, inner.set).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_names_the_process_that_has_the_lease_three_times() {
    const TENANTS: usize = 6;
    let (crm, main) = (databases(TENANTS), database());
    for round in 1..=3 {
        let inner = Inner {
            crm: &crm,
            main: &main,
            tenants: TENANTS,
            set: 1 + round,
            has_ledger: true,
            lease_seconds: 0,
            holds: true,
        };
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
            assert_eq!(first.last(), format!("ended {TENANTS} 0"));
        }
    }
}
