//! Where the figures were measured.

use std::process::Command;

use super::row::Row;

/// The processor, the databases, and how they are reached, as a sentence.
pub(crate) fn describe(rows: &[Row]) -> String {
    let mut databases: Vec<&str> =
        rows.iter().map(|row| row.database.as_str()).filter(|name| !name.is_empty()).collect();
    databases.sort_unstable();
    databases.dedup();
    let files = file_system(&super::folder());
    format!(
        "{}, which the servers share. {}. Servers by TCP on 127.0.0.1; files of SQLite on {files}.",
        processor(),
        databases.join(", ")
    )
}

/// As in `2026-01-31`, in UTC.
pub(crate) fn today() -> String {
    let date = Command::new("date").args(["-u", "+%F"]).output().expect("the program `date`");
    String::from_utf8_lossy(&date.stdout).trim().to_owned()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").expect("Linux");
    let value = |name| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    let model = value("model name").unwrap_or_else(|| "an unknown processor".to_owned());
    format!("{cores} cores of {model}")
}

/// The type of the file system that a folder is on.
fn file_system(folder: &std::path::Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("Linux");
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        folder.starts_with(place).then_some((place.len(), kind))
    });
    // Of two mounts at one place, the later one hides the other.
    mounts.max_by_key(|(length, _)| *length).map_or("?", |(_, kind)| kind).to_owned()
}
