//! `check`: how long each database takes to answer, once or again and again.

use serde::Serialize;
use tokio::time::sleep;

use super::command::CheckArgs;
use super::databases::Databases;
use super::exit::{Exit, Outcome};
use super::interrupt::Interrupts;
use super::output::{Output, Tone};
use crate::registry::{BindHealth, CheckReport, ReplicaHealth};

#[derive(Serialize)]
struct Document<'a> {
    is_ok: bool,
    #[serde(flatten)]
    report: &'a CheckReport,
}

pub(super) async fn run(databases: &Databases, output: &Output, arguments: &CheckArgs) -> Outcome {
    if !arguments.watch {
        return Ok(once(databases, output, arguments).await);
    }
    let interrupts = Interrupts::quietly();
    let mut exit = Exit::Done;
    loop {
        tokio::select! {
            () = interrupts.first() => return Ok(exit),
            last = once(databases, output, arguments) => exit = last,
        }
        // Nobody reads on, so nobody waits for the next check.
        if output.is_abandoned() {
            return Ok(exit);
        }
        tokio::select! {
            () = interrupts.first() => return Ok(exit),
            () = sleep(arguments.interval) => {}
        }
        if output.has_bars {
            output.progress("");
        }
    }
}

async fn once(databases: &Databases, output: &Output, arguments: &CheckArgs) -> Exit {
    let report = databases.registry.check(arguments.timeout).await;
    let is_ok = report.is_ok();
    if output.is_json {
        output.json(&Document { is_ok, report: &report });
    } else {
        print(output, &report);
    }
    if is_ok { Exit::Done } else { Exit::Failed }
}

fn print(output: &Output, report: &CheckReport) {
    let width = report.binds.iter().map(|bind| bind.key.len()).max().unwrap_or_default();
    for BindHealth { key, failure, took, replicas } in &report.binds {
        let outcome = worded(output, failure.as_deref());
        output.result(format_args!("{key:<width$}  {took:>9.3?}  {outcome}"));
        for ReplicaHealth { host, failure, lag_bytes, took } in replicas {
            let outcome = worded(output, failure.as_deref());
            let behind = lag_bytes.map(|bytes| format!(", {bytes} bytes behind"));
            let behind = behind.unwrap_or_default();
            output.result(format_args!(
                "{:<width$}  {took:>9.3?}  replica {host}: {outcome}{behind}",
                ""
            ));
        }
    }
}

fn worded(output: &Output, failure: Option<&str>) -> String {
    match failure {
        None => output.toned(Tone::Good, "ok", 0),
        Some(failure) => output.toned(Tone::Bad, failure, 0),
    }
}
