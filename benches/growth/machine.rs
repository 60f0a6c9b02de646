//! Where and when the figures were measured.

use std::process::Command;

use crate::records::Record;

/// The processor and the days, as sentences.
pub(crate) fn describe(records: &[Record]) -> String {
    let mut days: Vec<&str> = records.iter().map(|record| record.taken.as_str()).collect();
    days.sort_unstable();
    days.dedup();
    format!("{}, which the server shares. Measured on {}.", processor(), days.join(" and "))
}

/// As in `2026-01-31`, in UTC.
pub(crate) fn today() -> String {
    let date = Command::new("date").args(["-u", "+%F"]).output().expect("the program `date`");
    String::from_utf8_lossy(&date.stdout).trim().to_owned()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").expect("Linux");
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    let model = text.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|value| value.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, model)| model.trim());
    format!("{cores} cores of {model}")
}
