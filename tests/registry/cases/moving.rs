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

/// Fails with the first line that differs.
fn assert_is_the_file(shown: &str, path: &str) {
    let file = read(path);
    let mut lines = shown.lines().zip(file.lines()).enumerate();
    let differs = lines.find(|(_, (shown, file))| shown != file);
    assert_eq!(differs, None, "the chapter's program, and {path}");
    assert_eq!(shown.lines().count(), file.lines().count(), "lines of {path}");
}

#[test]
fn chapter_shows_the_program_before() {
    assert_is_the_file(&blocks("rust,no_run")[0], "examples/moving/before.rs");
}

#[test]
fn each_difference_in_the_chapter_is_that_of_two_programs() {
    let mut at = "examples/moving/before.rs".to_owned();
    let mut program = read(&at);
    let mut steps = Vec::new();
    for diff in blocks("diff") {
        // Others show what is not in this program.
        let Some(diff) = diff.strip_prefix("--- ") else { continue };
        let (from, diff) = diff.split_once("\n+++ ").expect("two names");
        let (to, diff) = diff.split_once('\n').expect("a difference");
        // The way from one program to the next may be shown in several parts.
        if to != at {
            assert_eq!(from, at);
            assert_is_the_file(&program, from);
            at = to.to_owned();
            steps.push(at.clone());
        }
        program = patched(program, diff);
    }
    assert_is_the_file(&program, &at);
    let steps: Vec<&str> =
        steps.iter().map(|step| step.trim_start_matches("examples/moving/")).collect();
    assert_eq!(steps, ["pool.rs", "imports.rs", "after.rs"]);
}
