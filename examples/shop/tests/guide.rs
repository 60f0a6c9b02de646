//! The guide's chapter "Migrations" shows the files of this package, and that chapter and "The command line" show what the
//! program prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The second migration of the tenants, which the chapter adds on the way.
const ADDED_LATER: &str = "invoices_paid";

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chapter(name: &str) -> String {
    let path = package().join("../../docs/guide").join(name);
    fs::read_to_string(path).expect("the chapter")
}

/// The blocks of a chapter in that language.
fn blocks(chapter: &str, language: &str) -> Vec<String> {
    let start = format!("\n```{language}\n");
    let blocks = chapter.split(&start).skip(1);
    blocks
        .map(|rest| rest.split_once("\n```\n").expect("the end of a block").0.to_owned())
        .collect()
}

/// The files in a folder and below it.
fn files_in(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_in(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn chapter_shows_every_file_of_the_package() {
    let chapter = chapter("migrations.md");
    let mut files = vec![package().join("src/main.rs"), package().join("settings.toml")];
    files_in(&package().join("migrations"), &mut files);
    assert_eq!(files.len(), 10, "{files:?}");
    for path in files {
        let language = match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => "rust,ignore",
            Some(other) => other,
            None => panic!("{}", path.display()),
        };
        let text = fs::read_to_string(&path).expect("a file");
        let name = path.strip_prefix(package()).expect("a file of the package").display();
        let block = format!("```{language}\n{text}```\n");
        let (before, _) = chapter.split_once(&block).unwrap_or_else(|| panic!("{name} differs"));
        let introduced = before.rsplit("```").next().expect("the words before it");
        assert!(introduced.contains(&format!("`{name}`")), "{name} is not named");
    }
}

#[test]
fn chapter_shows_the_dependencies_of_the_package() {
    let dependencies = |text: &str| {
        let manifest: toml::Table = text.parse().expect("TOML");
        let dependencies = manifest["dependencies"].as_table().expect("a table").clone();
        let features = |dependency: &toml::Value| dependency.get("features").cloned();
        dependencies.iter().map(|(name, one)| (name.clone(), features(one))).collect::<Vec<_>>()
    };
    let blocks = blocks(&chapter("migrations.md"), "toml");
    let shown = blocks.into_iter().find(|block| block.starts_with("[dependencies]"));
    let own = fs::read_to_string(package().join("Cargo.toml")).expect("the manifest");
    assert_eq!(dependencies(&shown.expect("the dependencies")), dependencies(&own));
}

/// A command of a chapter with what it prints.
struct Step {
    command: String,
    printed: String,
}

fn steps(chapter: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks(chapter, "console") {
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { command: command.to_owned(), printed: String::new() });
            } else {
                let step = steps.last_mut().expect("a command before its output");
                step.printed.push_str(line);
                step.printed.push('\n');
            }
        }
    }
    steps
}

/// The arguments of the program, if the command runs it.
fn arguments(command: &str) -> Option<&str> {
    command.strip_prefix("cargo run -q -- ").or_else(|| command.strip_prefix("shop "))
}

/// Runs the program in a folder, and returns what it prints and its exit code.
fn run(folder: &Path, arguments: &[&str]) -> (String, i32) {
    // Both streams are one pipe, so that their lines are in the order in which they were written.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if ["BACKTRACE", "DATABASE"].iter().any(|word| name.to_string_lossy().contains(word)) {
            command.env_remove(name);
        }
    }
    command.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
    let mut child = command.spawn().expect("the program");
    drop(command);
    let printed = std::io::read_to_string(reader).expect("UTF-8");
    let exit = child.wait().expect("the program ended").code().expect("an exit code");
    (printed, exit)
}

/// What a command has printed, as a chapter shows it: with another folder, and without white space at the ends of lines.
fn shown(printed: &str, folder: &Path) -> String {
    let printed = printed.replace(&folder.display().to_string(), "/home/ada/shop");
    printed.trim_end().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The text with zeros in place of all digits of dates and times, which differ from one run to the next.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        let separators = word.bytes().filter(|byte| b"-:".contains(byte)).count();
        separators == 2 && word.bytes().all(|byte| byte.is_ascii_digit() || b"-:".contains(&byte))
    };
    let zeros = |word: &str| match is_time(word.trim_end()) {
        true => word.replace(|c: char| c.is_ascii_digit(), "0"),
        false => word.to_owned(),
    };
    text.split_inclusive([' ', '\n']).map(zeros).collect()
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn every_command_prints_what_migrations_shows() {
    assert_prints_what_is_shown("migrations.md", 16);
}

#[test]
fn every_command_prints_what_the_command_line_shows() {
    assert_prints_what_is_shown("command-line.md", 4);
}

/// Runs the commands of a chapter in an empty folder. With `REGISTRY_TEST_OVERWRITE=1`, the chapter is written with what they
/// print.
fn assert_prints_what_is_shown(name: &str, count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("its path");
    fs::copy(package().join("settings.toml"), folder.join("settings.toml")).expect("the settings");
    let chapter = chapter(name);
    let steps = steps(&chapter);
    assert_eq!(steps.len(), count);
    let overwrites = std::env::var_os("REGISTRY_TEST_OVERWRITE").is_some_and(|value| value == "1");
    let (mut written, mut rest) = (String::new(), chapter.as_str());
    let mut last_exit = 0;
    for Step { command, printed } in &steps {
        let actual = take_step(&folder, command, &mut last_exit);
        let actual = shown(&actual, &folder);
        if overwrites {
            let step = format!("$ {command}\n{printed}");
            let (before, after) = rest.split_once(&step).expect("that step");
            written += &format!("{before}$ {command}\n{actual}");
            rest = after;
        } else if command.contains("--all-tenants") {
            // Tenants are asked and migrated at once, and printed as they are done.
            let (actual, printed) = (without_times(&actual), without_times(printed));
            assert_eq!(sorted(&actual), sorted(&printed), "$ {command}");
        } else {
            assert_eq!(without_times(&actual), without_times(printed), "$ {command}");
        }
    }
    if overwrites {
        let path = package().join("../../docs/guide").join(name);
        fs::write(path, written + rest).expect("the chapter");
    }
}

/// Does what a command of a chapter does, and returns what it prints.
fn take_step(folder: &Path, command: &str, last_exit: &mut i32) -> String {
    if let Some(arguments) = arguments(command) {
        let (printed, exit) = run(folder, &arguments.split(' ').collect::<Vec<_>>());
        *last_exit = exit;
        return printed;
    }
    match command {
        "echo $?" => last_exit.to_string(),
        "touch src/main.rs" => {
            // The chapter builds the program with the second migration of the tenants here. This program had it from the
            // beginning, so the tenants are set back to where they are in the chapter.
            for tenant in ["acme", "globex"] {
                let revert = ["manage", "revert", "--bind", "crm", "--tenant", tenant];
                let (reverted, exit) = run(folder, &revert);
                assert_eq!(exit, 0, "{reverted}");
                assert!(reverted.contains(ADDED_LATER), "{reverted}");
            }
            String::new()
        }
        _ => panic!("what is `{command}`?"),
    }
}
