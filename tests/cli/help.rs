//! The texts of `--help`, and completions.

use crate::rig::Program;
use crate::transcript::Transcript;

const COMMANDS: [&str; 11] = [
    "status",
    "migrate",
    "revert",
    "redo",
    "create",
    "drop",
    "verify",
    "check",
    "url",
    "shell",
    "completions",
];

#[test]
fn each_command_explains_its_arguments() {
    let program = Program::on_sqlite();
    let mut transcript = Transcript::new();
    program.shows(&mut transcript, &["--help"]);
    for command in COMMANDS {
        program.shows(&mut transcript, &[command, "--help"]);
    }
    transcript.is("help");
}

#[test]
fn mistakes_in_arguments_are_usage_errors() {
    let program = Program::on_sqlite();
    let mut transcript = Transcript::new();
    for arguments in [
        &["migrat"][..],
        &["migrate", "--canary", "1"],
        &["migrate", "--tenant", "aloha", "--all-tenants"],
        &["migrate", "--lock-timeout", "soon"],
        &["check", "--timeout"],
        &["shell"],
    ] {
        program.shows(&mut transcript, arguments);
    }
    transcript.is("usage");
}

#[test]
fn completions_know_the_commands_and_those_of_the_program() {
    let program = Program::on_sqlite();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let printed = program.pipe(&["completions", shell]);
        assert_eq!((printed.code, &*printed.stderr), (0, ""));
        for word in COMMANDS.iter().chain(&["add-airline", "all-tenants"]) {
            assert!(printed.stdout.contains(word), "no {word} in the completions of {shell}");
        }
    }
    let script = program.folder.join("completions.bash");
    std::fs::write(&script, program.pipe(&["completions", "bash"]).stdout).expect("a file");
    let complete = format!(
        "source {}; COMP_WORDS=(manage mig); COMP_CWORD=1; _manage manage mig manage; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let completed = std::process::Command::new("bash").args(["-c", &complete]).output();
    let completed = String::from_utf8(completed.expect("bash").stdout).expect("UTF-8");
    assert_eq!(completed, "migrate\n");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let program = Program::on_sqlite();
    let mut command = program.command(&["check", "--watch", "--interval", "1ms"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it was built");
    drop(child.stdout.take());
    // It would go on for ever.
    assert!(child.wait().expect("our child").success());
}
