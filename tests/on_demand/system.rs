//! Refusals of the operating system: no file descriptors are left, or a folder cannot be searched or written to.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use diesel_migrations::FileBasedMigrations;
use futures_util::future::join_all;
use registry_core::{AcquireError, BindSettings, CreateTenantError, Registry, Session, binds};

use crate::support::{causes, fresh_folder};

binds! {
    Files: Sqlite = "files";
}

const SCENE: &str = "REGISTRY_TEST_INNER_SCENE";
const FOLDER: &str = "REGISTRY_TEST_INNER_FOLDER";

/// Does nothing when it is run directly: the tests below run it in an inner process with restrictions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inner_process_acquires_with_restrictions() {
    let (Ok(scene), Ok(folder)) = (std::env::var(SCENE), std::env::var(FOLDER)) else { return };
    let url = format!("sqlite://{folder}/{{tenant}}.db");
    let files = match scene.as_str() {
        "one" | "created" => 0,
        _ => 61,
    };
    for number in 0..files {
        for tenant in ["t", "m"] {
            let file = Path::new(&folder).join(format!("{tenant}{number}.db"));
            std::fs::write(file, "").expect("an empty database");
        }
    }
    let limit = match scene.as_str() {
        "held" => Duration::from_millis(300),
        _ => Duration::from_secs(60),
    };
    let settings = BindSettings::new(url).acquire_timeout(limit);
    let registry = Registry::builder().bind("files", settings).build().expect("good settings");
    let error = match scene.as_str() {
        "one by one" => {
            for number in 0..60 {
                visit(&registry, number).await.expect("a session");
            }
            None
        }
        "all at once" => {
            let all = join_all((0..60).map(|number| visit(&registry, number))).await;
            all.into_iter().find_map(Result::err)
        }
        "migrated" => {
            let migrations = migrations_in(Path::new(&folder));
            for number in 0..60 {
                visit(&registry, number).await.expect("a session");
                migrate(&registry, number, &migrations).await;
            }
            None
        }
        "created" => {
            let migrations = migrations_in(Path::new(&folder));
            let create = async |number| {
                let name = format!("c{number}");
                let created = registry.create_tenant::<Files>(&name, migrations.clone()).await;
                drop(registry.tenant(&name).expect("a name").session::<Files>().await);
                created.map(drop)
            };
            let mut error = None;
            for number in 0..20 {
                error = error.or(create(number).await.err());
            }
            if let Some(error) = error {
                return tell(&error, matches!(error, CreateTenantError::Acquire(_)));
            }
            None
        }
        "held" => {
            let mut held = Vec::new();
            let error = loop {
                match acquire(&registry, held.len()).await {
                    Ok(session) => held.push(session),
                    Err(error) => break error,
                }
            };
            assert!(held.len() > 10, "{}", held.len());
            held.pop();
            held.push(acquire(&registry, 60).await.expect("there is room for one more"));
            Some(error)
        }
        _ => Some(acquire(&registry, 0).await.map(drop).expect_err("it cannot be opened")),
    };
    let Some(error) = error else { return println!("\nseen no error") };
    tell(&error, error.is_transient());
}

fn tell(error: &(dyn std::error::Error + 'static), is_transient: bool) {
    println!("\nseen transient {is_transient}");
    causes(error).iter().skip(1).for_each(|cause| println!("seen {cause}"));
}

/// Migrations from files, one of which cannot run in a transaction, as only its `metadata.toml` says.
fn migrations_in(folder: &Path) -> FileBasedMigrations {
    let migrations = folder.join("migrations");
    if migrations.exists() {
        return FileBasedMigrations::from_path(&migrations).expect("a folder");
    }
    for (name, sql) in [("1_create", "CREATE TABLE m (value INTEGER)"), ("2_vacuum", "VACUUM")] {
        let folder = migrations.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("up.sql"), sql).expect("a file");
        let metadata = format!("run_in_transaction = {}", name == "1_create");
        std::fs::write(folder.join("metadata.toml"), metadata).expect("a file");
    }
    FileBasedMigrations::from_path(&migrations).expect("two")
}

async fn migrate(registry: &Registry, number: usize, migrations: &FileBasedMigrations) {
    let tenant = registry.tenant(&format!("m{number}")).expect("a name");
    let report = tenant.migrate::<Files>(migrations.clone()).await.expect("migrated");
    assert_eq!(report.applied, ["1_create", "2_vacuum"]);
}

async fn acquire(registry: &Registry, number: usize) -> Result<Session<Files>, AcquireError> {
    let tenant = registry.tenant(&format!("t{number}")).expect("a name");
    tenant.session::<Files>().await
}

async fn visit(registry: &Registry, number: usize) -> Result<(), AcquireError> {
    let mut session = acquire(registry, number).await?;
    session.batch_execute("CREATE TABLE t (value INTEGER)").await.expect("a table");
    Ok(())
}

/// Runs a scene in an inner process that `program` starts, and returns what it prints.
fn seen(program: &[impl AsRef<OsStr>], scene: &str, folder: &Path) -> Vec<String> {
    let output = Command::new(&program[0])
        .args(&program[1..])
        .arg(std::env::current_exe().expect("this test binary"))
        .args(["system::inner_process_acquires_with_restrictions", "--exact", "--nocapture"])
        .env(SCENE, scene)
        .env(FOLDER, folder)
        .output()
        .expect("it can be run");
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).expect("UTF-8");
    let seen = output.lines().filter_map(|line| line.strip_prefix("seen ")).map(str::to_owned);
    let seen: Vec<_> = seen.collect();
    assert!(!seen.is_empty(), "{output}");
    seen
}

/// A program that limits the number of open files. An engine takes three of them.
fn few_files(limit: u32) -> [String; 4] {
    ["sh", "-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh"].map(str::to_owned)
}

/// Root may search any folder unless it drops its privileges.
const NO_PRIVILEGES: [&str; 3] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];

/// A program that mounts the folder read-only in a mount namespace.
const READ_ONLY: [&str; 7] = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    "mount --bind \"$REGISTRY_TEST_INNER_FOLDER\" \"$REGISTRY_TEST_INNER_FOLDER\" && \
     mount -o remount,ro,bind \"$REGISTRY_TEST_INNER_FOLDER\" && exec \"$@\"",
    "sh",
];

#[test]
fn idle_engines_are_closed_when_file_descriptors_run_out() {
    for scene in ["one by one", "all at once", "created"] {
        assert_eq!(seen(&few_files(64), scene, &fresh_folder()), ["no error"], "{scene}");
    }
}

/// How many descriptors are left when the migrations are read depends on how many the process has inherited. With
/// three consecutive limits, at least one leaves too few.
#[test]
fn idle_engines_are_closed_when_migrations_lack_file_descriptors() {
    for limit in 62..=65 {
        let seen = seen(&few_files(limit), "migrated", &fresh_folder());
        assert_eq!(seen, ["no error"], "{limit} files");
    }
}

#[test]
fn descriptor_shortage_with_all_engines_in_use_is_a_transient_error() {
    let expected = [
        "transient true",
        "the operating system has no resources left for a connection",
        "Too many open files (os error 24)",
    ];
    assert_eq!(seen(&few_files(64), "held", &fresh_folder()), expected);
}

#[test]
fn unsearchable_folder_is_an_error_and_not_an_unknown_tenant() {
    let folder = fresh_folder();
    std::fs::write(folder.join("t0.db"), "").expect("a file");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o600)).expect("our folder");
    let expected = [
        "transient false",
        "the connection could not be opened",
        "Permission denied (os error 13)",
    ];
    assert_eq!(seen(&NO_PRIVILEGES, "one", &folder), expected);
}

#[test]
fn failure_to_create_a_file_says_why() {
    let folder = fresh_folder();
    let expected = ["transient false", "Read-only file system (os error 30)"];
    std::fs::create_dir(folder.join("migrations")).expect("a folder");
    assert_eq!(seen(&READ_ONLY, "created", &folder), expected);

    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o500)).expect("our folder");
    let expected = ["transient false", "Permission denied (os error 13)"];
    assert_eq!(seen(&NO_PRIVILEGES, "created", &folder), expected);
    let left: Vec<_> = folder.read_dir().expect("a folder").flatten().collect();
    assert_eq!(left.len(), 1, "nothing is left there: {left:?}");
}
