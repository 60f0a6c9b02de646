//! The command line.

use std::time::Duration;

/// How often each subject of a case has its turns, unless `--rounds` says otherwise.
const ROUNDS: usize = 35;

pub(crate) struct Arguments {
    pub(crate) mode: Mode,
    /// The cases that are named; all, if none is.
    pub(crate) cases: Vec<String>,
    /// As for the cases.
    pub(crate) subjects: Vec<String>,
    pub(crate) rounds: usize,
    /// Whether Flask-SQLAlchemy takes part.
    pub(crate) has_python: bool,
    pub(crate) writes_guide: bool,
}

pub(crate) enum Mode {
    Measure,
    /// One subject in the foreground.
    Profile {
        case: String,
        subject: String,
        length: Duration,
    },
    /// Started by a process that measures.
    Child {
        case: String,
        subjects: Vec<String>,
    },
}

pub(crate) fn parse() -> Arguments {
    let mut parsed = Arguments {
        mode: Mode::Measure,
        cases: Vec::new(),
        subjects: Vec::new(),
        rounds: ROUNDS,
        has_python: false,
        writes_guide: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut next =
            |what: &str| arguments.next().unwrap_or_else(|| panic!("{argument} takes {what}"));
        match argument.as_str() {
            "--child" => {
                let case = next("a case and its subjects");
                parsed.mode = Mode::Child { case, subjects: arguments.by_ref().collect() };
            }
            "--profile" => {
                let what = "a case, a subject and a number of seconds";
                let (case, subject) = (next(what), next(what));
                let length = Duration::from_secs(number(&next(what), what));
                parsed.mode = Mode::Profile { case, subject, length };
            }
            "--rounds" => {
                let what = "a number, at least 1";
                parsed.rounds = usize::try_from(number(&next(what), what)).expect("a small number");
            }
            "--subjects" => {
                let names = next("names with commas between them");
                parsed.subjects.extend(names.split(',').map(str::to_owned));
            }
            "--python" => parsed.has_python = true,
            "--write-guide" => parsed.writes_guide = true,
            // Cargo adds it.
            "--bench" => {}
            option if option.starts_with('-') => panic!("no option {option}"),
            case => parsed.cases.push(case.to_owned()),
        }
    }
    parsed
}

fn number(text: &str, what: &str) -> u64 {
    text.parse().ok().filter(|number| *number > 0).unwrap_or_else(|| panic!("{text} is not {what}"))
}
