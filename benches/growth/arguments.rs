//! What the command line asks for.

use crate::plan::Turns;

pub(crate) struct Arguments {
    /// Names of parts or backends; all, if there are none.
    pub(crate) parts: Vec<String>,
    pub(crate) turns: Turns,
    pub(crate) is_quick: bool,
    /// Nothing is measured. The results are those of earlier runs.
    pub(crate) runs_nothing: bool,
    pub(crate) writes_guide: bool,
}

pub(crate) fn parse(arguments: &[String]) -> Arguments {
    let mut parsed = Arguments {
        parts: Vec::new(),
        turns: Turns::FULL,
        is_quick: false,
        runs_nothing: false,
        writes_guide: false,
    };
    for argument in arguments {
        match argument.as_str() {
            "--quick" => (parsed.is_quick, parsed.turns) = (true, Turns::QUICK),
            "--no-run" => parsed.runs_nothing = true,
            "--write-guide" => parsed.writes_guide = true,
            // Cargo adds it.
            "--bench" => {}
            option if option.starts_with('-') => panic!("no option {option}"),
            part => parsed.parts.push(part.to_owned()),
        }
    }
    parsed
}
