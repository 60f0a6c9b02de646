//! Diesel's command line and the registry in turn on one database.
//!
//! `REGISTRY_TEST_DIESEL` names the program, which `cargo install diesel_cli` makes. Without it, nothing is tested here: to
//! build it takes longer than all of these tests. `diesel_and_the_registry_take_turns_on_one_database` runs the code behind
//! it, on each backend.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use diesel_migrations::FileBasedMigrations;
use registry_core::{Migrations, Registry, binds};

use crate::support::{fresh_folder, postgres};

binds! {
    Files: Sqlite = "files";
    Server: Postgres = "server";
}

const NAMES: [&str; 3] =
    ["2026-01-01-000000_items", "2026-02-01-000000_fill", "2026-03-01-000000_index"];

struct Diesel {
    program: OsString,
    url: String,
    folder: PathBuf,
}

impl Diesel {
    fn new(url: impl Into<String>) -> Option<Self> {
        let program = std::env::var_os("REGISTRY_TEST_DIESEL")?;
        let folder = fresh_folder();
        let migrations = [
            ("CREATE TABLE items (id INTEGER PRIMARY KEY)", "DROP TABLE items"),
            ("INSERT INTO items VALUES (1)", "DELETE FROM items"),
            ("CREATE INDEX items_by_id ON items (id)", "DROP INDEX items_by_id"),
        ];
        for (name, (up, down)) in NAMES.into_iter().zip(migrations) {
            let folder = folder.join(name);
            std::fs::create_dir(&folder).expect("a folder");
            std::fs::write(folder.join("up.sql"), up).expect("a file");
            std::fs::write(folder.join("down.sql"), down).expect("a file");
        }
        let alone = "run_in_transaction = false";
        std::fs::write(folder.join(NAMES[2]).join("metadata.toml"), alone).expect("a file");
        Some(Self { program, url: url.into(), folder })
    }

    fn source(&self) -> FileBasedMigrations {
        FileBasedMigrations::from_path(&self.folder).expect("migrations")
    }

    /// What `diesel migration ..` prints.
    fn migration(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.program)
            .arg("migration")
            .args(arguments)
            .arg("--migration-dir")
            .arg(&self.folder)
            .args(["--database-url", &self.url])
            // It looks for a `diesel.toml` in the folders above.
            .current_dir(Path::new("/"))
            .output()
            .expect("Diesel's command line starts");
        let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}", printed(&output.stderr));
        printed(&output.stdout)
    }

    /// The names of the migrations, and whether they were run, as `diesel migration list` shows them.
    fn list(&self) -> Vec<(String, bool)> {
        let lines = self.migration(&["list"]);
        let entries = lines.lines().filter_map(|line| {
            let (mark, name) = line.trim().strip_prefix('[')?.split_once("] ")?;
            Some((name.to_owned(), mark == "X"))
        });
        entries.collect()
    }

    async fn takes_turns_with<B: registry_core::Bind>(&self, ours: Migrations<B>) {
        let listed =
            |run: [bool; 3]| NAMES.map(str::to_owned).into_iter().zip(run).collect::<Vec<_>>();
        ours.run_to("2026-01-01-000000").await.expect("it runs");
        assert_eq!(self.list(), listed([true, false, false]));
        self.migration(&["run"]);
        assert_eq!(ours.pending().await.expect("known"), [""; 0]);
        assert_eq!(ours.status().await.expect("known").unknown().count(), 0);
        let report = ours.revert(2).await.expect("they are reverted");
        assert_eq!(report.reverted, [NAMES[2], NAMES[1]]);
        assert_eq!(self.list(), listed([true, false, false]));
        assert_eq!(ours.run().await.expect("they run").applied, NAMES[1..]);
        self.migration(&["redo"]);
        self.migration(&["revert", "--number", "2"]);
        assert_eq!(ours.pending().await.expect("known"), NAMES[1..]);
        self.migration(&["run"]);
        let report = ours.redo().await.expect("it runs again");
        assert_eq!(
            (report.reverted, report.applied),
            (vec![NAMES[2].to_owned()], vec![NAMES[2].to_owned()])
        );
        self.migration(&["revert", "--all"]);
        assert_eq!(ours.pending().await.expect("known"), NAMES);
    }
}

#[tokio::test]
async fn diesel_and_the_registry_take_turns_on_a_file() {
    let path = fresh_folder().join("app.db");
    let Some(diesel) = Diesel::new(path.to_str().expect("UTF-8")) else { return };
    let url = format!("sqlite://{}", path.display());
    let registry = Registry::builder().bind("files", url).build().expect("good settings");
    diesel.takes_turns_with(registry.migrations::<Files>(diesel.source())).await;
}

#[tokio::test]
async fn diesel_and_the_registry_take_turns_on_a_server() {
    let url = postgres().database("turns");
    let Some(diesel) = Diesel::new(&*url) else { return };
    let registry = Registry::builder().bind("server", &*url).build().expect("good settings");
    diesel.takes_turns_with(registry.migrations::<Server>(diesel.source())).await;
}
