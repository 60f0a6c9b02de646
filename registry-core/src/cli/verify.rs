//! `verify`: whether every database answers, and whether the program's models fit.

use std::fmt::Display;

use serde::Serialize;

use super::databases::Databases;
use super::exit::{Exit, Failure, Outcome};
use super::output::{Output, Tone};
use crate::cause::Chain;
use crate::registry::VerifyFailure;
use crate::settings::BindKey;

#[derive(Serialize)]
struct Document {
    is_ok: bool,
    bound: Option<usize>,
    answered: Vec<BindKey>,
    warnings: Vec<String>,
    failures: Vec<String>,
}

pub(super) async fn run(databases: &Databases, output: &Output) -> Outcome {
    let document = match databases.registry.verify().await {
        Ok(report) => Document {
            is_ok: true,
            bound: Some(report.bound),
            answered: report.answered,
            warnings: texts(&report.warnings),
            failures: Vec::new(),
        },
        Err(error) if output.is_json => Document {
            is_ok: false,
            bound: None,
            answered: Vec::new(),
            warnings: Vec::new(),
            failures: texts(error.failures()),
        },
        Err(error) => return Err(Failure::from(error)),
    };
    if output.is_json {
        output.json(&document);
    } else {
        for warning in &document.warnings {
            output.warning(warning);
        }
        let word = output.toned(Tone::Good, "ok", 0);
        output.result(format_args!(
            "{word}: {} answered; models and tables that fit: {}",
            counted(document.answered.len(), "bind"),
            document.bound.unwrap_or_default(),
        ));
    }
    Ok(if document.is_ok { Exit::Done } else { Exit::Failed })
}

fn texts(failures: &[VerifyFailure]) -> Vec<String> {
    failures.iter().map(|failure| Chain(failure).to_string()).collect()
}

/// `1 bind`, `2 binds`.
pub(super) fn counted<N: PartialEq + Display + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == 1.into() { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
