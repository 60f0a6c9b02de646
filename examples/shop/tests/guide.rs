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

/// What differs from one run to the next is replaced: each digit of a time or a duration, and the folder.
fn comparable(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.display().to_string(), "/home/ada/shop");
    let mut comparable = String::new();
    for line in text.trim_end().lines() {
        let words = line.split(' ').map(|word| {
            let is_time = word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit())
                || word.len() == 10 && word.bytes().filter(|&byte| byte == b'-').count() == 2;
            if is_time { word.replace(|c: char| c.is_ascii_digit(), "0") } else { word.to_owned() }
        });
        comparable.push_str(words.collect::<Vec<_>>().join(" ").trim_end());
        comparable.push('\n');
    }
    comparable
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

/// Runs the commands of a chapter in an empty folder.
fn assert_prints_what_is_shown(name: &str, count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("its path");
    fs::copy(package().join("settings.toml"), folder.join("settings.toml")).expect("the settings");
    let steps = steps(&chapter(name));
    assert_eq!(steps.len(), count);
    let mut last_exit = 0;
    for Step { command, printed } in steps {
        let actual = if let Some(arguments) = arguments(&command) {
            let (actual, exit) = run(&folder, &arguments.split(' ').collect::<Vec<_>>());
            last_exit = exit;
            actual
        } else if command == "echo $?" {
            format!("{last_exit}\n")
        } else if command == "touch src/main.rs" {
            // The chapter builds the program with the second migration of the tenants here. This program had it from the
            // beginning, so the tenants are set back to where they are in the chapter.
            for tenant in ["acme", "globex"] {
                let revert = ["manage", "revert", "--bind", "crm", "--tenant", tenant];
                let (reverted, exit) = run(&folder, &revert);
                assert_eq!(exit, 0, "{reverted}");
                assert!(reverted.contains(ADDED_LATER), "{reverted}");
            }
            continue;
        } else {
            panic!("what is `{command}`?");
        };
        let (actual, printed) = (comparable(&actual, &folder), comparable(&printed, &folder));
        if command.contains("--all-tenants") {
            // Tenants are asked and migrated at once, and printed as they are done.
            assert_eq!(sorted(&actual), sorted(&printed), "$ {command}");
        } else {
            assert_eq!(actual, printed, "$ {command}");
        }
    }
}
