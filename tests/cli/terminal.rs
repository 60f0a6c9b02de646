//! Commands in a terminal: colours, questions and progress.

use crate::rig::Program;
use crate::transcript::Transcript;

#[test]
fn a_terminal_has_colours_and_no_bar_that_stays() {
    let program = Program::on_sqlite();
    let mut transcript = Transcript::new();
    transcript.replace(program.folder.display().to_string(), "FOLDER");
    for arguments in [
        &["status"][..],
        &["migrate"],
        &["status", "--bind", "default"],
        &["redo", "--bind", "default"],
        &["create", "bookings", "--tenant", "aloha"],
        &["migrate", "--all-tenants"],
        &["status", "--all-tenants"],
        &["verify"],
        &["check"],
        &["url", "default"],
        &["shell", "default", "--", "SELECT count(*) FROM airlines"],
        &["status", "--bind", "analytic"],
    ] {
        program.shows_in_terminal(&mut transcript, arguments, &[]);
    }
    transcript.is("terminal");
}

#[test]
fn what_runs_is_drawn_on_a_terminal_only() {
    let program = Program::on_sqlite();
    let terminal = program.terminal(&["migrate"]);
    terminal.wait_for("default: running migrations");
    terminal.end();
    let program = Program::on_sqlite();
    let printed = program.pipe(&["migrate"]);
    assert!(!printed.stderr.contains("running migrations"), "{printed:?}");
    assert!(!printed.stdout.contains('\u{1b}') && !printed.stderr.contains('\u{1b}'));
}

#[test]
fn no_colour_is_shown_where_none_is_wanted() {
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut program = Program::on_sqlite();
        program.variable(name, value);
        let (screen, code) = program.terminal(&["status"]).end();
        assert_eq!(code, 0);
        assert!(screen.contains("  pending  2026-01-01"), "{name}: {screen}");
        assert!(!screen.contains("[yellow"), "{name}: {screen}");
    }
}

#[test]
fn drop_asks_for_the_name() {
    let program = Program::on_sqlite();
    let mut transcript = Transcript::new();
    transcript.replace(program.folder.display().to_string(), "FOLDER");
    assert_eq!(program.pipe(&["create"]).code, 0);
    assert_eq!(program.pipe(&["create", "bookings", "--tenant", "aloha"]).code, 0);
    let question = "type its name:";
    for (arguments, answer) in [
        (&["drop", "default"][..], "yes\n"),
        // The end of the input.
        (&["drop", "default"], "\u{4}"),
        (&["drop", "default"], "main.db\n"),
        (&["drop", "bookings", "--tenant", "aloha"], "aloha\n"),
    ] {
        program.shows_in_terminal(&mut transcript, arguments, &[(question, answer)]);
    }
    transcript.is("drop_in_terminal");
}

#[test]
fn sqlite3_takes_part_in_the_terminal() {
    let program = Program::on_sqlite();
    assert_eq!(program.pipe(&["migrate"]).code, 0);
    let mut terminal = program.terminal(&["shell", "default"]);
    terminal.wait_for("sqlite>");
    terminal.type_in("SELECT 6 * 7;\n");
    terminal.wait_for("42");
    // Ctrl-C is for sqlite3, and this process outlives it.
    terminal.type_in(".quit\n");
    assert_eq!(terminal.end().1, 0);
}
