//! Ctrl-C, SIGTERM, and a second run beside the first.

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::rig::{Program, Terminal};

/// Tenants with a pending migration, of which the first one cannot be migrated while the connection lives.
fn blocked() -> (Program, SqliteConnection) {
    let program = Program::on_sqlite();
    assert_eq!(program.pipe(&["migrate"]).code, 0);
    for name in ["aloha", "delta", "united"] {
        assert_eq!(program.pipe(&["add-airline", name]).code, 0);
        let revert = ["revert", "--bind", "bookings", "--tenant", name];
        assert_eq!(program.pipe(&revert).code, 0);
    }
    let path = program.folder.join("bookings-aloha.db").display().to_string();
    let mut connection = SqliteConnection::establish(&path).expect("a connection");
    connection.batch_execute("BEGIN IMMEDIATE").expect("the write lock");
    (program, connection)
}

/// Starts a run, which is in the middle of the first tenant then.
fn begun(program: &Program) -> Terminal {
    let lock = program.folder.join("bookings-aloha.db-migrate.lock");
    let _ = std::fs::remove_file(&lock);
    let terminal = program.terminal(&["migrate", "--all-tenants", "--jobs", "1"]);
    terminal.wait_until("lock of the first tenant", || lock.exists());
    terminal
}

#[test]
fn ctrl_c_brings_the_tenant_to_its_end_and_begins_no_other() {
    let (program, mut held) = blocked();
    let mut terminal = begun(&program);
    terminal.type_in("\u{3}");
    terminal.wait_for("interrupted: what is running comes to its end");
    held.batch_execute("ROLLBACK").expect("no lock");
    let (screen, code) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    assert!(
        screen.contains("1 migrated] , 0 up to date")
            || screen.contains("1 migrated], 0 up to date"),
        "{screen}"
    );
    assert!(screen.contains("2 not reached"), "{screen}");
    // The next run goes on where it was.
    let next = program.pipe(&["migrate", "--all-tenants", "--json"]).documents();
    let tenants = &next.last().expect("a report")["tenants"];
    assert_eq!((&tenants["migrated"], &tenants["up_to_date"]), (&2.into(), &1.into()));
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let (program, held) = blocked();
    let mut terminal = begun(&program);
    terminal.type_in("\u{3}");
    terminal.wait_for("interrupted: what is running comes to its end");
    terminal.type_in("\u{3}");
    let (screen, code) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    assert!(screen.contains("ended at once"), "{screen}");
    drop(held);
    let next = program.pipe(&["migrate", "--all-tenants", "--json"]).documents();
    assert_eq!(next.last().expect("a report")["tenants"]["migrated"], 3);
}

#[test]
fn sigterm_is_as_ctrl_c() {
    let (program, mut held) = blocked();
    let lock = program.folder.join("bookings-aloha.db-migrate.lock");
    let _ = std::fs::remove_file(&lock);
    let mut command = program.command(&["migrate", "--all-tenants", "--jobs", "1", "--json"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it was built");
    while !lock.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    kill(Pid::from_raw(child.id().try_into().expect("an id")), Signal::SIGTERM).expect("our child");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line");
    assert!(line.starts_with("warning: interrupted"), "{line}");
    held.batch_execute("ROLLBACK").expect("no lock");
    let output = child.wait_with_output().expect("our child");
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let report: serde_json::Value =
        serde_json::from_str(text.lines().last().expect("a report")).expect("JSON");
    assert_eq!(report["exit_code"], 130);
    assert_eq!(report["tenants"]["not_reached"], 2);
}

#[test]
fn another_run_finds_the_lease_held() {
    let (program, mut held) = blocked();
    let terminal = begun(&program);
    let second = program.pipe(&["migrate", "--all-tenants", "--wait-for-lease", "10ms"]);
    assert_eq!(second.code, 5, "{second:?}");
    assert!(second.stderr.contains("another run migrates its tenants"), "{second:?}");
    held.batch_execute("ROLLBACK").expect("no lock");
    assert_eq!(terminal.end().1, 0);
}

#[test]
fn watching_ends_by_ctrl_c() {
    let program = Program::on_sqlite();
    assert_eq!(program.pipe(&["create"]).code, 0);
    let mut terminal = program.terminal(&["check", "--watch", "--interval", "1ms"]);
    terminal.wait_until("two checks", || terminal.written().matches("analytics").count() >= 2);
    terminal.type_in("\u{3}");
    assert_eq!(terminal.end().1, 0);
}

/// One database, with two migrations.
fn on_a_file() -> Program {
    Program::new("manage_servers", "[database.binds]\nfile = \"sqlite://FOLDER/file.db\"\n")
}

#[test]
fn a_run_that_waits_for_the_lock_ends_without_having_begun() {
    let program = on_a_file();
    let file = std::fs::File::create(program.folder.join("file.db-migrate.lock"));
    let file = file.expect("a file");
    file.lock().expect("the migration lock");
    let mut terminal = program.terminal(&["migrate"]);
    terminal.wait_for("running migrations");
    terminal.type_in("\u{3}");
    let (screen, code) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    assert!(screen.contains("file: stopped before the next migration"), "{screen}");
    drop(file);
    let status = program.pipe(&["status", "--json"]).documents().remove(0);
    assert_eq!(status["binds"][0]["pending"], 2, "{status}");
}

#[test]
fn the_next_migration_of_the_same_database_is_not_begun() {
    let program = on_a_file();
    assert_eq!(program.pipe(&["migrate"]).code, 0);
    assert_eq!(program.pipe(&["revert", "2"]).code, 0);
    let lock = program.folder.join("file.db-migrate.lock");
    std::fs::remove_file(&lock).expect("the lock, which stays");
    let path = program.folder.join("file.db").display().to_string();
    let mut held = SqliteConnection::establish(&path).expect("a connection");
    held.batch_execute("BEGIN IMMEDIATE").expect("the write lock");
    let mut command = program.command(&["migrate", "--json"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it was built");
    while !lock.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    kill(Pid::from_raw(child.id().try_into().expect("an id")), Signal::SIGTERM).expect("our child");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line");
    held.batch_execute("ROLLBACK").expect("no lock");
    let output = child.wait_with_output().expect("our child");
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let documents: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(documents[0]["event"], "stopped", "{text}");
    assert_eq!(documents[1]["not_reached"], 1, "{text}");
    let status = program.pipe(&["status", "--json"]).documents().remove(0);
    assert_ne!(status["binds"][0]["pending"], 0, "{status}");
}

#[test]
fn create_brings_the_tenant_to_its_end_and_begins_no_other() {
    let program = Program::on_sqlite();
    let lock = program.folder.join("bookings-one.db-migrate.lock");
    let file = std::fs::File::create(&lock).expect("a file");
    file.lock().expect("the lock of the tenant's file");
    let create = ["create", "bookings", "--tenant", "one", "--tenant", "two"];
    let mut child = program
        .command(&create)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it was built");
    while !has_open(child.id(), &lock) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    kill(Pid::from_raw(child.id().try_into().expect("an id")), Signal::SIGTERM).expect("our child");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line");
    assert!(line.starts_with("warning: interrupted"), "{line}");
    drop(file);
    let output = child.wait_with_output().expect("our child");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("bookings: tenant `one` created"), "{text}");
    assert!(text.contains("bookings: tenant `two` not reached"), "{text}");
    let status = ["status", "--bind", "bookings", "--tenant", "one", "--tenant", "two", "--json"];
    let status = program.pipe(&status).documents().remove(0);
    assert_eq!(status["binds"][0]["pending"], 0, "{status}");
    assert!(status["binds"][1]["error"].is_string(), "{status}");
}

/// Whether a process has this file open.
fn has_open(process: u32, file: &std::path::Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("our child");
    open.flatten()
        .any(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|of| of == file))
}
