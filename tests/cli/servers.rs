//! Commands on PostgreSQL and MariaDB, with their own clients.

use crate::rig::Program;
use crate::support::{self, Server};
use crate::transcript::Transcript;

/// A program with the binds `key` and `<key>_tenants` on a server, whose databases do not exist yet.
struct OnServer {
    program: Program,
    transcript: Transcript,
}

impl OnServer {
    fn new(server: &Server, key: &str, more: &str) -> Self {
        // Names that no other test has: both databases are created and dropped by the program.
        let existing = server.database("cli");
        let (at, name) = existing.rsplit_once('/').expect("the name of a database");
        let settings = format!(
            "[database.binds]\n{key} = \"{at}/{name}_new\"\n{key}_tenants = \"{at}/{name}_{{tenant}}\"\n{more}"
        );
        let program = Program::new("manage_servers", &settings);
        let mut transcript = Transcript::new();
        transcript.replace(name, "NAME");
        transcript.replace(format!(":{}/", server.port()), ":PORT/");
        transcript.replace(program.folder.display().to_string(), "FOLDER");
        Self { program, transcript }
    }

    fn shows(&mut self, arguments: &[&str]) {
        self.program.shows(&mut self.transcript, arguments);
    }

    /// The name of the database that the program creates for a bind.
    fn name(&self, key: &str) -> String {
        let document = self.program.pipe(&["url", key, "--json"]).documents().remove(0);
        let url = document["url"].as_str().expect("a URL").to_owned();
        url.rsplit_once('/').expect("a name").1.to_owned()
    }

    /// Every command that is the same on all servers.
    fn run_all(&mut self, key: &str) {
        let tenants = format!("{key}_tenants");
        self.program.argument("--names=one,two");
        for arguments in [
            &["status", "--bind", key][..],
            &["create"],
            &["create"],
            &["create", "--if-missing"],
            &["migrate"],
            &["status", "--bind", key],
            &["revert", "--bind", key],
            &["migrate", "--bind", key, "--plan"],
            &["migrate", "--bind", key, "--lock-timeout", "5s", "--time-limit", "1min"],
            &["redo", "--bind", key],
            &["create", &tenants, "--tenant", "one", "--tenant", "two"],
            &["revert", "--bind", &tenants, "--tenant", "two"],
            &["status", "--all-tenants", "--bind", &tenants],
            &["migrate", "--all-tenants"],
            &["status", "--tenant", "two"],
            &["verify"],
            &["check"],
            &["url", key],
            &["url", &tenants, "--tenant", "one", "--json"],
        ] {
            self.shows(arguments);
        }
    }

    fn drop_all(&mut self, key: &str) {
        let tenants = format!("{key}_tenants");
        let name = self.name(key);
        self.shows(&["drop", key, "--yes-drop", "another"]);
        self.shows(&["drop", key, "--yes-drop", &name]);
        self.shows(&["drop", key, "--yes-drop", &name]);
        for tenant in ["one", "two"] {
            self.shows(&["drop", &tenants, "--tenant", tenant, "--yes-drop", tenant]);
        }
        self.shows(&["status", "--tenant", "one"]);
        self.shows(&["create", &tenants, "--tenant", "one"]);
        self.shows(&["drop", &tenants, "--tenant", "one", "--yes-drop", "one"]);
    }
}

#[test]
fn each_command_runs_on_postgres() {
    let mut on = OnServer::new(support::postgres(), "pg", "");
    on.run_all("pg");
    let select = "SELECT current_database() = :'name', count(*) FROM notes";
    let name = format!("name={}", on.name("pg"));
    let shell = ["shell", "pg", "--", "--no-psqlrc", "-At", "-v", &name, "-f", "-"];
    let mut command = on.program.command(&shell);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it was built");
    let mut stdin = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, select.as_bytes()).expect("psql reads");
    drop(stdin);
    let output = child.wait_with_output().expect("our child");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "t|0\n");
    for arguments in [
        &[
            "shell",
            "pg_tenants",
            "--tenant",
            "two",
            "--",
            "--no-psqlrc",
            "-At",
            "-c",
            "TABLE notes",
        ][..],
        &["shell", "pg", "--", "--no-psqlrc", "-c", "SELECT nothing"],
    ] {
        on.shows(arguments);
    }
    on.drop_all("pg");
    on.transcript.is("postgres");
}

#[test]
fn each_command_runs_on_mariadb() {
    let mut on = OnServer::new(support::mariadb(), "maria", "");
    on.run_all("maria");
    for arguments in [
        &[
            "shell",
            "maria",
            "--",
            "-N",
            "-e",
            "SELECT database() LIKE '%_new', count(*) FROM notes",
        ][..],
        &[
            "shell",
            "maria_tenants",
            "--tenant",
            "two",
            "--",
            "-N",
            "-e",
            "SELECT database() LIKE '%_two'",
        ],
        &["shell", "maria", "--", "-e", "SELECT nothing"],
    ] {
        on.shows(arguments);
    }
    on.drop_all("maria");
    on.transcript.is("mariadb");
}

#[test]
fn a_tenant_with_a_schema_has_it_in_its_shell_and_its_url() {
    let database = support::postgres().database("cli");
    let settings = format!(
        "[database.binds.pg_schemas]\nurl = \"{database}\"\ntenant_schema = \"t_{{tenant}}\"\nread_only = false\n"
    );
    let mut program = Program::new("manage_servers", &settings);
    program.argument("--names=one");
    assert_eq!(program.pipe(&["create", "pg_schemas", "--tenant", "one"]).code, 0);
    let select = "SELECT current_schema() || ' ' || count(*) FROM notes";
    let shell =
        ["shell", "pg_schemas", "--tenant", "one", "--", "--no-psqlrc", "-At", "-c", select];
    let printed = program.pipe(&shell);
    assert_eq!((&*printed.stdout, printed.code), ("t_one 0\n", 0), "{printed:?}");
    // The URL, as another program uses it.
    let url = program.pipe(&["url", "pg_schemas", "--tenant", "one", "--show-password", "--yes"]);
    let psql = std::process::Command::new("psql")
        .args(["--no-psqlrc", "-At", "-c", select, url.stdout.trim()])
        .output()
        .expect("psql");
    assert_eq!(String::from_utf8_lossy(&psql.stdout), "t_one 0\n");
    let shown = program.pipe(&["url", "pg_schemas", "--tenant", "one"]).stdout;
    assert!(shown.contains("?options=-csearch_path"), "{shown}");
    let (all, dropped) = (
        program.pipe(&["status", "--all-tenants"]),
        program.pipe(&["drop", "pg_schemas", "--tenant", "one", "--yes-drop", "one"]),
    );
    assert!(all.stdout.contains("1 tenant up to date"), "{all:?}");
    assert_eq!(dropped.code, 0, "{dropped:?}");
}

#[test]
fn a_shell_of_a_read_only_bind_writes_nothing() {
    let (postgres, mariadb) =
        (support::postgres().database("cli"), support::mariadb().database("cli"));
    let settings = format!(
        "[database.binds]\npg = {{ url = \"{postgres}\", read_only = true }}\nmaria = {{ url = \"{mariadb}\", read_only = true }}\n\
         file = {{ url = \"sqlite://FOLDER/file.db\", read_only = true }}\n"
    );
    let program = Program::new("manage_servers", &settings);
    std::fs::write(program.folder.join("file.db"), "").expect("an empty database");
    let create = "CREATE TABLE t (a INT)";
    for (key, arguments, refusal) in [
        (
            "pg",
            vec!["--no-psqlrc", "-c", create],
            "cannot execute CREATE TABLE in a read-only transaction",
        ),
        ("maria", vec!["-e", create], "Cannot execute statement in a READ ONLY transaction"),
        ("file", vec![create], "attempt to write a readonly database"),
    ] {
        let mut all = vec!["shell", key, "--"];
        all.extend(arguments);
        let printed = program.pipe(&all);
        assert_ne!(printed.code, 0, "{printed:?}");
        assert!(printed.stderr.contains(refusal), "{printed:?}");
    }
}
