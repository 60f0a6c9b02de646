//! Each command on SQLite files, with its output in pipes.

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use crate::rig::Program;
use crate::transcript::Transcript;

fn transcript(program: &Program) -> Transcript {
    let mut transcript = Transcript::new();
    transcript.replace(program.folder.display().to_string(), "FOLDER");
    transcript
}

fn run_sql(program: &Program, file: &str, sql: &str) {
    let path = program.folder.join(file).display().to_string();
    let mut connection = SqliteConnection::establish(&path).expect("a connection");
    connection.batch_execute(sql).expect("SQL");
}

#[test]
fn migrations_run_and_are_shown_and_reverted() {
    let program = Program::on_sqlite();
    let mut transcript = transcript(&program);
    for arguments in [
        &["status", "--exit-code"][..],
        &["migrate", "--plan", "--bind", "default"],
        &["migrate", "--bind", "default", "--to", "20260101000000"],
        &["migrate", "--bind", "default", "--to", "20260102000000"],
        &["migrate"],
        &["migrate"],
        &["status", "--exit-code"],
        &["revert", "--bind", "default", "2"],
        &["status", "--bind", "default"],
        &["migrate", "--bind", "default"],
        &["redo", "--bind", "default"],
        &["revert"],
        &["migrate", "--to", "20260101000000"],
        &["status", "--bind", "analytic"],
    ] {
        program.shows(&mut transcript, arguments);
    }
    transcript.is("sqlite_migrations");
}

#[test]
fn json_says_the_same() {
    let program = Program::on_sqlite();
    let mut transcript = transcript(&program);
    for arguments in [
        &["status", "--json"][..],
        &["migrate", "--plan", "--json"],
        &["migrate", "--json"],
        &["redo", "--bind", "default", "--json"],
        &["create", "bookings", "--tenant", "aloha", "--json"],
        &["create", "bookings", "--tenant", "aloha", "--json"],
        &["status", "--tenant", "aloha", "--json"],
        &["verify", "--json"],
        &["check", "--json"],
        &["url", "analytics", "--json"],
        &["drop", "bookings", "--tenant", "aloha", "--yes-drop", "aloha", "--json"],
        &["migrate", "--bind", "bookings", "--json"],
    ] {
        // Each line is a document by itself.
        assert!(!program.pipe(&["status", "--json"]).documents().is_empty());
        program.shows(&mut transcript, arguments);
    }
    transcript.is("sqlite_json");
}

#[test]
fn all_tenants_are_migrated_and_a_broken_one_is_named() {
    let program = Program::on_sqlite();
    let mut transcript = transcript(&program);
    assert_eq!(program.pipe(&["migrate"]).code, 0);
    for name in ["aloha", "delta", "united"] {
        assert_eq!(program.pipe(&["add-airline", name]).code, 0);
    }
    assert_eq!(program.pipe(&["revert", "2", "--bind", "bookings", "--tenant", "aloha"]).code, 0);
    let arguments = ["revert", "--bind", "bookings", "--tenant", "delta", "--tenant", "united"];
    program.shows(&mut transcript, &arguments);
    // Its migration cannot be run again.
    run_sql(&program, "bookings-delta.db", "ALTER TABLE bookings ADD COLUMN seat VARCHAR(4)");
    for arguments in [
        &["status", "--all-tenants"][..],
        &["migrate", "--all-tenants", "--jobs", "1", "--keep-going"],
        &["status", "--all-tenants", "--exit-code"],
        &["migrate", "--all-tenants", "--json", "--jobs", "1", "--canary", "1", "--recheck"],
    ] {
        program.shows(&mut transcript, arguments);
    }
    run_sql(&program, "bookings-delta.db", "ALTER TABLE bookings DROP COLUMN seat");
    for arguments in [&["migrate", "--all-tenants"][..], &["status", "--all-tenants", "--json"]] {
        program.shows(&mut transcript, arguments);
    }
    transcript.is("sqlite_tenants");
}

#[test]
fn a_tenant_that_was_reverted_or_dropped_is_not_up_to_date_for_the_ledger() {
    let program = Program::on_sqlite();
    assert_eq!(program.pipe(&["migrate"]).code, 0);
    assert_eq!(program.pipe(&["add-airline", "aloha"]).code, 0);
    let all = ["migrate", "--all-tenants", "--json"];
    let migrated = |program: &Program| {
        let documents = program.pipe(&all).documents();
        documents.last().expect("a report")["tenants"]["migrated"].clone()
    };
    assert_eq!(migrated(&program), 0);
    assert_eq!(program.pipe(&["revert", "--bind", "bookings", "--tenant", "aloha"]).code, 0);
    assert_eq!(migrated(&program), 1);
    assert_eq!(migrated(&program), 0);
    let drop = ["drop", "bookings", "--tenant", "aloha", "--yes-drop", "aloha"];
    assert_eq!(program.pipe(&drop).code, 0);
    let all = program.pipe(&all);
    assert_eq!(all.code, 4, "{all:?}");
    assert!(all.stderr.is_empty() || all.stdout.contains("unknown tenant `aloha`"), "{all:?}");
}

#[test]
fn databases_are_created_and_dropped() {
    let program = Program::on_sqlite();
    let mut transcript = transcript(&program);
    for arguments in [
        &["create"][..],
        &["create", "default"],
        &["create", "default", "--if-missing"],
        &["create", "bookings"],
        &["create", "default", "--tenant", "aloha"],
        &["create", "bookings", "--tenant", "aloha", "--tenant", "delta"],
        &["create", "bookings", "--tenant", "aloha", "--tenant", "united", "--if-missing"],
        &["create", "bookings", "--tenant", "no/name"],
        &["drop", "default"],
        &["drop", "default", "--yes-drop", "analytics.db"],
        &["drop", "default", "--yes-drop", "main.db"],
        &["drop", "default", "--yes-drop", "main.db"],
        &["drop", "default", "--yes-drop", "main.db", "--if-exists"],
        &["drop", "bookings", "--tenant", "aloha", "--yes-drop", "aloha"],
        &["drop", "bookings", "--tenant", "aloha", "--yes-drop", "aloha"],
        &["drop", "bookings", "--tenant", "aloha", "--yes-drop", "aloha", "--if-exists"],
        &["drop", "bookings"],
    ] {
        program.shows(&mut transcript, arguments);
    }
    let mut files: Vec<_> = std::fs::read_dir(&program.folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".db"))
        .collect();
    files.sort();
    assert_eq!(files, ["analytics.db", "bookings-delta.db", "bookings-united.db"]);
    transcript.is("sqlite_create_and_drop");
}

#[test]
fn databases_are_checked_and_opened_by_sqlite3() {
    let program = Program::on_sqlite();
    let mut transcript = transcript(&program);
    for arguments in [
        &["shell", "default"][..],
        &["create"],
        &["verify"],
        &["check"],
        &["url", "default"],
        &["url", "bookings"],
        &["url", "bookings", "--tenant", "aloha"],
        &["shell", "default", "--", "PRAGMA foreign_keys", "PRAGMA busy_timeout"],
        &["shell", "default", "--", "SELECT nothing"],
        &["shell", "default", "--program", "FOLDER/no-such-program"],
        &["shell", "bookings"],
    ] {
        program.shows(&mut transcript, arguments);
    }
    std::fs::write(program.folder.join("analytics.db"), "this is no database, and long enough")
        .expect("a file");
    for arguments in [&["verify"][..], &["verify", "--json"], &["check"], &["status"]] {
        program.shows(&mut transcript, arguments);
    }
    transcript.is("sqlite_checks");
}
