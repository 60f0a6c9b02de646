//! What commands print, one after the other, compared with a text in a file.

use std::fmt::Write;
use std::path::PathBuf;

use crate::support;

/// The commands of a test and what they print.
pub(crate) struct Transcript {
    text: String,
    /// Texts that differ from run to run, and what stands for each.
    replaced: Vec<(String, String)>,
}

impl Transcript {
    pub(crate) fn new() -> Self {
        Self { text: String::new(), replaced: Vec::new() }
    }

    /// Has `shown` stand for `text`.
    pub(crate) fn replace(&mut self, text: impl Into<String>, shown: &str) {
        self.replaced.push((text.into(), shown.to_owned()));
    }

    pub(crate) fn command(&mut self, arguments: &[&str]) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let _ = writeln!(self.text, "$ manage {}", arguments.join(" "));
    }

    /// What was printed on a stream, if anything was.
    pub(crate) fn stream(&mut self, name: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        if !name.is_empty() {
            let _ = writeln!(self.text, "[{name}]");
        }
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    pub(crate) fn exit_code(&mut self, code: i32) {
        if code != 0 {
            let _ = writeln!(self.text, "[exit code {code}]");
        }
    }

    /// Asserts that it is the text in `expected/<name>.txt`.
    #[track_caller]
    pub(crate) fn is(self, name: &str) {
        let path: PathBuf =
            support::workspace().join("tests/cli/expected").join(name).with_extension("txt");
        let mut text = self.text;
        for (what, shown) in &self.replaced {
            text = text.replace(what, shown);
        }
        let text = without_times(&text);
        if std::env::var_os("REGISTRY_TEST_OVERWRITE").is_some_and(|value| value == "1") {
            std::fs::write(&path, &text).expect("the expected text");
            return;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text == expected,
            "{} differs. Expected:\n{expected}\n\nFound:\n{text}",
            path.display()
        );
    }
}

/// The text with `TIME` in place of each moment (`2026-01-01 12:00:00`) and `TOOK` in place of each duration (`1.2ms`, or
/// in JSON `"took":0.0012`).
fn without_times(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let starts_word = !shown.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let found = if shown.ends_with("\"took\":") {
            rest.find([',', '}']).map(|length| (length, "TOOK"))
        } else {
            starts_word.then(|| moment(rest).or_else(|| duration(rest))).flatten()
        };
        match found {
            Some((length, word)) => {
                // The padding before a duration depends on its length.
                if word == "TOOK" {
                    shown.truncate(shown.trim_end_matches(' ').len());
                    shown.push(' ');
                }
                shown.push_str(word);
                rest = &rest[length..];
            }
            None => {
                shown.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    shown
}

fn moment(text: &str) -> Option<(usize, &'static str)> {
    const SHAPE: &str = "dddd-dd-dd dd:dd:dd";
    let is_it = text.len() >= SHAPE.len()
        && SHAPE.chars().zip(text.chars()).all(|(shape, c)| match shape {
            'd' => c.is_ascii_digit(),
            shape => c == shape,
        });
    is_it.then_some((SHAPE.len(), "TIME"))
}

fn duration(text: &str) -> Option<(usize, &'static str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let unit = &text[digits..];
    let unit = ["ms", "µs", "ns", "s"].into_iter().find(|name| unit.starts_with(name))?;
    let after = text[digits + unit.len()..].chars().next();
    let is_it = text[..digits].contains('.') && after.is_none_or(|c| !c.is_alphanumeric());
    is_it.then_some((digits + unit.len(), "TOOK"))
}
