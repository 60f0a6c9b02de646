//! Writes tables and pictures into the guide.

use std::path::{Path, PathBuf};

use crate::records::{self, Record};
use crate::{machine, pictures, tables};

const BEGIN: &str = "<!-- measured: growth -->";
const END: &str = "<!-- end -->";

/// Writes the pictures into `target/benchmarks`.
pub(crate) fn draw(records: &[Record]) {
    let folder = records::folder();
    for (name, picture) in pictures_of(records) {
        write(&folder.join(name), &picture);
    }
    if let Some(picture) = pictures::peers() {
        write(&folder.join("peers.svg"), &picture);
    }
}

/// Writes the tables into the chapter, and the pictures beside it.
///
/// # Panics
///
/// If the chapter has not got the marks between which the tables are.
pub(crate) fn write_chapter(records: &[Record]) {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide");
    let guide = guide.canonicalize().expect("the guide");
    let chapter = guide.join("performance.md");
    let text = std::fs::read_to_string(&chapter).expect("the chapter");
    let (before, rest) = text.split_once(BEGIN).expect("a mark where the tables begin");
    let (_, after) = rest.split_once(END).expect("a mark where they end");
    let (machine, tables) = (machine::describe(records), tables::all(records));
    write(&chapter, &format!("{before}{BEGIN}\n\n{machine}\n\n{tables}\n{END}{after}"));
    for (name, picture) in pictures_of(records) {
        write(&guide.join(name), &picture);
    }
}

fn pictures_of(records: &[Record]) -> [(&'static str, String); 2] {
    [("growth.svg", pictures::reads(records)), ("growth-sizes.svg", pictures::sizes(records))]
}

fn write(path: &PathBuf, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!("written to {}", path.display());
}
