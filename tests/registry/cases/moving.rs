//! The program in the guide's chapter "Moving in", and what the chapter says of each step.

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(crate::support::workspace().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The blocks of the chapter that begin with that line, without it.
fn blocks(first_line: &str) -> Vec<String> {
    let chapter = read("docs/guide/moving-in.md");
    let mut blocks = Vec::new();
    let mut rest = chapter.as_str();
    while let Some((_, after)) = rest.split_once(&format!("\n```{first_line}\n")) {
        let (block, after) = after.split_once("\n```\n").expect("the end of the block");
        blocks.push(format!("{block}\n"));
        rest = after;
    }
    blocks
}

/// The text after a diff whose parts are separated by `@@`, each of which stands there once.
fn patched(mut text: String, diff: &str) -> String {
    for part in diff.split("@@\n") {
        let side = |other: char| {
            let lines = part.lines().filter(|line| !line.starts_with(other));
            lines.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect::<String>()
        };
        let (old, new) = (side('+'), side('-'));
        assert_eq!(format!("\n{text}").matches(&format!("\n{old}")).count(), 1, "{old}");
        text =
            format!("\n{text}").replacen(&format!("\n{old}"), &format!("\n{new}"), 1).split_off(1);
    }
    text
}

#[test]
fn chapter_shows_the_program_before() {
    assert_eq!(blocks("rust,no_run")[0], read("examples/moving/before.rs"));
}

#[test]
fn each_difference_in_the_chapter_is_that_of_two_programs() {
    let mut steps = Vec::new();
    let mut program = ("examples/moving/before.rs".to_owned(), read("examples/moving/before.rs"));
    for diff in blocks("diff") {
        // The others are not of this program.
        let Some(diff) = diff.strip_prefix("--- ") else { continue };
        let (from, diff) = diff.split_once("\n+++ ").expect("two names");
        let (to, diff) = diff.split_once('\n').expect("a difference");
        if program.0 != from && program.0 != to {
            panic!("{from} is not {}", program.0);
        }
        if program.0 == from && from != "examples/moving/before.rs" {
            assert_eq!(program.1, read(from), "what the chapter makes of it");
        }
        program = (to.to_owned(), patched(program.1, diff));
        steps.push(to.to_owned());
    }
    assert_eq!(program.1, read("examples/moving/after.rs"), "what the chapter makes of it");
    let steps: Vec<&str> =
        steps.iter().filter_map(|step| step.strip_prefix("examples/moving/")).collect();
    assert_eq!(steps, ["pool.rs", "imports.rs", "after.rs", "after.rs"]);
}
