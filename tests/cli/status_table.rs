//! The status of a registry, as a process prints it in a pipe and in a terminal.

use registry_core::{Postgres, Registry};

use crate::rig::Program;

const INNER: &str = "REGISTRY_TEST_INNER_STATUS";

/// Does nothing when it is run directly: the tests below run it in a process of its own.
#[tokio::test]
async fn inner_process_prints_its_status() {
    if std::env::var_os(INNER).is_none() {
        return;
    }
    // Nothing listens at this port, so there is an error that needs eyes.
    let url = "postgres://ada@127.0.0.1:1/shop";
    let registry = Registry::builder().bind("shop", url).build().expect("good settings");
    let refused = registry.session_by_key::<Postgres>("shop").await;
    refused.expect_err("nothing listens");
    let status = registry.status();
    println!("plain:\n{status}\nfor a terminal:\n{}\nover", status.for_terminal());
}

fn program() -> Program {
    Program::inner_test("status_table::inner_process_prints_its_status", INNER)
}

/// What was printed for a terminal, and before that as it is.
fn parts(printed: &str) -> (&str, &str) {
    let (_, rest) = printed.split_once("plain:").expect("the table");
    let (plain, rest) = rest.split_once("for a terminal:").expect("another table");
    let (coloured, _) = rest.split_once("over").expect("the end");
    (plain, coloured)
}

#[test]
fn status_has_no_colours_in_a_pipe() {
    let printed = program().pipe(&[]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let (plain, for_terminal) = parts(&printed.stdout);
    assert_eq!(plain, for_terminal);
    assert!(plain.contains("last error of `shop`: "), "{plain}");
    assert!(!printed.stdout.contains('\u{1b}'), "{}", printed.stdout);
}

#[test]
fn status_is_coloured_in_a_terminal_when_asked_for() {
    let terminal = program().terminal(&[]);
    terminal.wait_for("\nover");
    let written = terminal.written();
    let (plain, coloured) = parts(&written);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    assert!(coloured.contains("last error of `shop`: \u{1b}[1;31m"), "{coloured:?}");
    let (screen, code) = terminal.end();
    assert_eq!(code, 0);
    assert!(screen.contains("last error of `shop`: [red "), "{screen}");
}

#[test]
fn status_is_not_coloured_where_no_colour_is_wanted() {
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut program = program();
        program.variable(name, value);
        let terminal = program.terminal(&[]);
        terminal.wait_for("\nover");
        let written = terminal.written();
        let (plain, for_terminal) = parts(&written);
        assert_eq!(plain, for_terminal, "{name}");
        assert_eq!(terminal.end().1, 0);
    }
}
