//! No password is in what a command prints, nor in the arguments of the programs that it opens.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::rig::{Program, arguments_of};
use crate::support;

/// A program on both servers, as a user whose password is hard to quote. Returns the password, too.
fn program() -> (Program, String) {
    let secret = "s3cr#t w\\\"x'".to_owned();
    let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    static USERS: AtomicU32 = AtomicU32::new(0);
    let number = USERS.fetch_add(1, Ordering::Relaxed);
    let user = format!("cli_{}_{number}", std::process::id());
    let (postgres, mariadb) = (support::postgres(), support::mariadb());
    let quoted = secret.replace('\'', "''");
    postgres.execute(&format!("DROP ROLE IF EXISTS {user}"));
    postgres.execute(&format!("CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{quoted}'"));
    let quoted = secret.replace('\\', "\\\\").replace('\'', "\\'");
    mariadb.execute(&format!("CREATE OR REPLACE USER {user}@'%' IDENTIFIED BY '{quoted}'"));
    mariadb.execute(&format!("GRANT ALL ON *.* TO {user}@'%'"));
    let url = |url: String| {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (_, place) = rest.rsplit_once('@').expect("a user");
        format!("{scheme}://{user}:{encoded}@{place}")
    };
    let settings = format!(
        "[database.binds]\npg = \"{}\"\nmaria = \"{}\"\nfile = \"sqlite://FOLDER/file.db\"\n",
        url(postgres.database("cli")),
        url(mariadb.database("cli")),
    );
    let mut program = Program::new("manage_servers", &settings);
    program.argument("--names=one");
    (program, secret)
}

#[test]
fn no_command_prints_a_password() {
    let (program, secret) = program();
    let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["migrate", "--plan"],
        &["migrate"],
        &["redo", "--bind", "pg"],
        &["redo", "--bind", "maria", "--json"],
        &["revert", "--bind", "pg", "--time-limit", "1ns"],
        &["create"],
        &["create", "--json"],
        &["drop", "pg", "--yes-drop", "another"],
        &["verify"],
        &["check"],
        &["url", "pg"],
        &["url", "maria", "--json"],
        &["shell", "pg", "--", "--no-psqlrc", "-c", "\\conninfo"],
        &["shell", "maria", "--", "-e", "status"],
    ] {
        let printed = program.pipe(arguments);
        for text in [&printed.stdout, &printed.stderr] {
            assert!(!text.contains(&secret) && !text.contains(&encoded), "{arguments:?}: {text}");
            assert!(!text.contains("s3cr"), "{arguments:?}: {text}");
        }
        let (screen, _) = program.terminal(arguments).end();
        assert!(!screen.contains("s3cr") && !screen.contains(&encoded), "{arguments:?}: {screen}");
    }
}

#[test]
fn url_shows_a_password_only_once_confirmed() {
    let (program, secret) = program();
    let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let show = ["url", "pg", "--show-password"];
    let refused = program.pipe(&show);
    assert_eq!((refused.code, &*refused.stdout), (2, ""));
    assert!(refused.stderr.contains("add --yes"), "{refused:?}");
    let shown = program.pipe(&["url", "pg", "--show-password", "--yes"]);
    assert_eq!(shown.code, 0);
    assert!(shown.stdout.contains(&encoded), "{shown:?}");
    for (answer, is_shown) in [("n\n", false), ("\n", false), ("\u{4}", false), ("y\n", true)] {
        let mut terminal = program.terminal(&show);
        terminal.wait_for("[y/N]");
        terminal.type_in(answer);
        let (screen, code) = terminal.end();
        assert_eq!(screen.contains(&encoded), is_shown, "{answer:?}: {screen}");
        assert_eq!(code, if is_shown { 0 } else { 2 }, "{answer:?}: {screen}");
    }
}

#[test]
fn a_shell_has_no_password_in_its_arguments_and_leaves_no_file() {
    let (mut program, _) = program();
    let temporary = program.folder.join("temporary");
    std::fs::create_dir(&temporary).expect("a folder");
    program.variable("TMPDIR", &temporary.display().to_string());
    // What the user has of their own does not matter.
    program.variable("PGSERVICE", "no-such-service");
    program.variable("PGSSLMODE", "verify-full");
    program.variable("MYSQL_HOST", "no-such-host.invalid");
    let home = program.folder.join("home");
    std::fs::create_dir(&home).expect("a folder");
    std::fs::write(home.join(".my.cnf"), "[client]\npassword=wrong\nuser=nobody\n")
        .expect("a file");
    program.variable("HOME", &home.display().to_string());
    for (key, arguments, prompt, ask, answer, quit) in [
        (
            "pg",
            &["--no-psqlrc", "-P", "pager=off"][..],
            "=#",
            "SELECT 6 * 7 AS product;\n",
            "42",
            "\\q\n",
        ),
        ("maria", &[], "]>", "SELECT 6 * 7 AS product;\n", "42", "quit\n"),
    ] {
        let mut all = vec!["shell", key, "--"];
        all.extend(arguments);
        let mut terminal = program.terminal(&all);
        terminal.wait_for(prompt);
        let running = arguments_of(terminal.process());
        assert!(running.iter().any(|line| line.contains(if key == "pg" {
            "psql"
        } else {
            "mariadb"
        })));
        assert!(!running.iter().any(|line| line.contains("s3cr")), "{running:?}");
        // Only this user may read what is there meanwhile.
        use std::os::unix::fs::PermissionsExt;
        for entry in std::fs::read_dir(&temporary).expect("the folder") {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("its mode").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
        }
        terminal.type_in(ask);
        terminal.wait_for(answer);
        // Ctrl-C is for the client: it goes on, and so does this program, which has to remove the file.
        terminal.type_in("SELECT\u{3}\n");
        terminal.type_in(ask);
        terminal.wait_until("the answer again", || terminal.written().matches(answer).count() >= 2);
        terminal.type_in(quit);
        let (screen, code) = terminal.end();
        assert_eq!(code, 0, "{screen}");
        let left: Vec<_> = std::fs::read_dir(&temporary).expect("the folder").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_shell_that_is_terminated_leaves_no_file() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let (mut program, _) = program();
    let temporary = program.folder.join("temporary");
    std::fs::create_dir(&temporary).expect("a folder");
    program.variable("TMPDIR", &temporary.display().to_string());
    let terminal = program.terminal(&["shell", "maria"]);
    terminal.wait_for("]>");
    let program = terminal.program();
    kill(Pid::from_raw(program.try_into().expect("an id")), Signal::SIGTERM).expect("our process");
    let (screen, code) = terminal.end();
    assert_eq!(code, 128 + 9, "{screen}");
    assert_eq!(std::fs::read_dir(&temporary).expect("the folder").count(), 0);
}
