//! The examples, run as a user runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

#[path = "../support/mod.rs"]
mod support;

/// Calculated from the two files by a program that shares no code with the example.
const FIGURES: &str = "\
default: 3,376 airports
analytics: 5,366 routes

7,009,728 flights in 2008

The busiest routes:
   13,788  SFO San Francisco International, San Francisco -> LAX Los Angeles International, Los Angeles
   13,390  LAX Los Angeles International, Los Angeles -> SFO San Francisco International, San Francisco
   12,383  OGG Kahului, Kahului -> HNL Honolulu International, Honolulu
   12,035  LGA LaGuardia, New York -> BOS Gen Edw L Logan Intl, Boston
   12,029  BOS Gen Edw L Logan Intl, Boston -> LGA LaGuardia, New York
   12,014  HNL Honolulu International, Honolulu -> OGG Kahului, Kahului
   11,773  LAX Los Angeles International, Los Angeles -> LAS McCarran International, Las Vegas
   11,729  LAS McCarran International, Las Vegas -> LAX Los Angeles International, Los Angeles
   11,257  LAX Los Angeles International, Los Angeles -> SAN San Diego International-Lindbergh, San Diego
   11,224  SAN San Diego International-Lindbergh, San Diego -> LAX Los Angeles International, Los Angeles

The airports with the most departures:
  414,513  ATL William B Hartsfield-Atlanta Intl, Atlanta
  350,380  ORD Chicago O'Hare International, Chicago
  281,281  DFW Dallas-Fort Worth International, Dallas-Fort Worth
  241,443  DEN Denver Intl, Denver
  215,608  LAX Los Angeles International, Los Angeles
  199,408  PHX Phoenix Sky Harbor International, Phoenix
  185,172  IAH George Bush Intercontinental, Houston
  172,876  LAS McCarran International, Las Vegas
  161,989  DTW Detroit Metropolitan-Wayne County, Detroit
  140,587  SFO San Francisco International, San Francisco
";

/// A few lines of each file. They must stay in the databases when a later run is refused.
const AIRPORTS: &str = "\
iata,name,city,state,country,latitude,longitude
ATL,William B Hartsfield-Atlanta Intl,Atlanta,GA,USA,33.64044444,-84.42694444
BOS,Gen Edw L Logan Intl,Boston,MA,USA,42.3643475,-71.00517917
";
const ROUTES: &str = "\
origin,destination,count
ATL,BOS,7000
BOS,ATL,6999
BOS,XYZ,1
";

/// An example as a command, without the variables that it reads.
fn example(name: &str) -> Command {
    let mut command = Command::new(support::examples::example(name));
    command.env_remove("DATABASE_URL").env_remove("ANALYTICS_DATABASE_URL");
    command
}

/// The program with the tests of an example.
fn example_tests(name: &str) -> PathBuf {
    let target = example(name).get_program().to_owned();
    let target = Path::new(&target).ancestors().nth(3).expect("target/<profile>/examples");
    let built = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--package=registry", "--all-features", "--no-run"])
        .args(["--message-format=json", "--example", name, "--target-dir"])
        .arg(target)
        .current_dir(support::workspace())
        .output()
        .expect("cargo");
    let built = String::from_utf8(built.stdout).expect("UTF-8");
    let messages = built.lines().map(serde_json::from_str::<serde_json::Value>);
    let mut programs = messages.filter_map(|message| {
        let message = message.expect("JSON");
        let is_it = message["target"]["name"] == name && message["profile"]["test"] == true;
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    programs.next().expect("a program with tests")
}

/// Runs a command that must succeed, and returns what it prints.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("the example was built");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a command that must fail, and returns its standard error.
fn fails(command: &mut Command) -> String {
    let output = command.output().expect("the example was built");
    assert!(!output.status.success(), "{command:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn data() -> PathBuf {
    support::workspace().join("examples/data")
}

/// A folder with the two files.
fn data_of(airports: &str, routes: &str) -> PathBuf {
    let folder = support::fresh_folder();
    std::fs::write(folder.join("airports.csv"), airports).expect("a file");
    std::fs::write(folder.join("flights-airport.csv"), routes).expect("a file");
    folder
}

/// The number of airports and of routes in the quickstart's databases.
fn rows(databases: &Path) -> (i64, i64) {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let count = |file: &str, table: &str| {
        let file = databases.join(file);
        let mut connection =
            SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("a database");
        sql_query(format!("SELECT count(*) AS count FROM {table}"))
            .get_result::<Count>(&mut connection)
            .expect("a count")
            .count
    };
    (count("main.db", "airports"), count("analytics.db", "routes"))
}

/// Loads the few lines, and then `broken`, which must fail and change nothing. Returns the standard error.
fn refused_after_good_data(broken: &Path) -> String {
    let databases = support::fresh_folder();
    succeeds(example("quickstart").arg(data_of(AIRPORTS, ROUTES)).arg(&databases));
    assert_eq!(rows(&databases), (2, 3));

    let said = fails(example("quickstart").arg(broken).arg(&databases));
    assert_eq!(rows(&databases), (2, 3), "{said}");
    said
}

#[test]
fn quickstart_prints_the_same_figures_twice() {
    let databases = support::fresh_folder();
    for _ in 0..2 {
        let printed = succeeds(example("quickstart").arg(data()).arg(&databases));
        assert!(printed.contains(FIGURES), "{printed}");
        let (_, status) = printed.split_once(FIGURES).expect("the figures");
        for key in ["default", "analytics"] {
            assert!(status.contains(key), "no {key} in the status: {status}");
        }
        assert_eq!(rows(&databases), (3376, 5366));
    }
}

#[test]
fn servers_prints_the_figures_of_the_quickstart_twice() {
    let main = support::postgres().database("main");
    let analytics = support::mariadb().database("analytics");
    for _ in 0..2 {
        let printed = succeeds(
            example("servers").env("DATABASE_URL", &main).env("ANALYTICS_DATABASE_URL", &analytics),
        );
        assert!(printed.contains(FIGURES), "{printed}");
        assert!(!printed.contains(support::postgres().password()), "{printed}");
    }
}

#[test]
fn servers_without_urls_says_which_are_missing() {
    let said = fails(&mut example("servers"));
    assert!(said.contains("analytics"), "{said}");
}

#[test]
fn settings_example_shows_each_bind() {
    let folder = support::fresh_folder();
    let url = |name| format!("sqlite://{}", folder.join(name).display());
    let printed = succeeds(
        example("settings")
            .env("DATABASE_URL", url("main.db"))
            .env("ANALYTICS_DATABASE_URL", url("analytics.db")),
    );
    for part in ["default", "analytics", "main.db", "analytics.db"] {
        assert!(printed.contains(part), "no {part} in: {printed}");
    }
}

#[test]
fn airport_without_a_name_is_shown_by_its_code() {
    let printed =
        succeeds(example("quickstart").arg(data_of(AIRPORTS, ROUTES)).arg(support::fresh_folder()));
    let line = "        1  BOS Gen Edw L Logan Intl, Boston -> XYZ\n";
    assert!(printed.contains(line), "{printed}");
}

#[test]
fn missing_file_is_named_and_changes_nothing() {
    let broken = data_of(AIRPORTS, ROUTES);
    let missing = broken.join("flights-airport.csv");
    std::fs::remove_file(&missing).expect("it was there");
    let said = refused_after_good_data(&broken);
    let expected = format!(
        "error: cannot read {}\n  because: No such file or directory (os error 2)\n",
        missing.display()
    );
    assert_eq!(said, expected);
}

#[test]
fn malformed_file_creates_no_database() {
    let databases = support::fresh_folder();
    let broken = data_of(AIRPORTS, &format!("{ROUTES}BOS\n"));
    fails(example("quickstart").arg(broken).arg(&databases));
    assert!(!databases.join("main.db").exists());
    assert!(!databases.join("analytics.db").exists());
}

#[test]
fn row_with_too_few_fields_is_named_and_changes_nothing() {
    let broken = data_of(AIRPORTS, &format!("{ROUTES}BOS,LAX\n"));
    let said = refused_after_good_data(&broken);
    let first = format!("error: cannot read {}/flights-airport.csv, line 5\n", broken.display());
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains("found record with 2 fields"), "{said}");
}

#[test]
fn bad_number_is_named_and_changes_nothing() {
    let broken = data_of(&AIRPORTS.replace("42.3643475", "north"), ROUTES);
    let said = refused_after_good_data(&broken);
    let first = format!("error: cannot read {}/airports.csv, line 3\n", broken.display());
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains("invalid float literal"), "{said}");

    let broken = data_of(AIRPORTS, &ROUTES.replace("6999", "many"));
    let said = refused_after_good_data(&broken);
    let first = format!("error: cannot read {}/flights-airport.csv, line 3\n", broken.display());
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains("invalid digit found in string"), "{said}");
}

#[test]
fn row_refused_by_one_database_changes_neither() {
    // The airports are valid and inserted first, so they must be rolled back.
    let more_airports =
        format!("{AIRPORTS}LAX,Los Angeles International,Los Angeles,CA,USA,33.9,-118.4\n");
    let broken = data_of(&more_airports, &format!("{ROUTES}BOS,ATL,1\n"));
    let said = refused_after_good_data(&broken);
    assert!(said.contains("UNIQUE constraint failed"), "{said}");
}

#[test]
fn routed_queries_print_the_same_figures_with_less_code() {
    let databases = support::fresh_folder();
    let said = succeeds(example("reports").arg(data()).arg(&databases));
    assert!(said.ends_with(FIGURES), "{said}");
    let lines = |file: &str| {
        let text = std::fs::read_to_string(support::workspace().join("examples").join(file));
        text.expect("an example").lines().count()
    };
    assert!(lines("reports.rs") < lines("quickstart.rs") + lines("flights/report.rs"));
}

#[test]
fn tenants_serves_all_states_through_eight_engines_twice() {
    let databases = support::fresh_folder();
    for _ in 0..2 {
        let printed = succeeds(example("tenants").arg(data()).arg(&databases));
        for line in [
            "52 states, a file each, in ",
            "4,000 requests for the flights that left a state:",
            "  824,597  CA\n  747,650  TX\n  466,998  FL\n  461,237  IL\n  435,781  GA\n  331,333  NY\n",
            "7,009,728  all states\n",
            "on demand: 8 of at most 8 engines, ",
        ] {
            assert!(printed.contains(line), "no {line:?} in: {printed}");
        }
        let files = std::fs::read_dir(&databases).expect("a folder");
        let databases = files.filter(|file| {
            let name = file.as_ref().expect("an entry").file_name();
            name.to_string_lossy().ends_with(".db")
        });
        assert_eq!(databases.count(), 52);
    }
}

/// The variables of the programs in examples/moving, and their databases with the tables.
async fn moving() -> [(&'static str, String); 2] {
    let (main, analytics) =
        (support::postgres().database("main"), support::postgres().database("analytics"));
    for (url, tables) in [
        (
            &main,
            "CREATE TABLE users (id SERIAL PRIMARY KEY, name TEXT NOT NULL); CREATE TABLE letters \
             (id SERIAL PRIMARY KEY, user_id INTEGER NOT NULL, text TEXT NOT NULL)",
        ),
        (
            &analytics,
            "CREATE TABLE events (id SERIAL PRIMARY KEY, user_id INTEGER NOT NULL, what TEXT NOT NULL)",
        ),
    ] {
        let mut connection = AsyncPgConnection::establish(url).await.expect("a connection");
        connection.batch_execute(tables).await.expect("the tables");
    }
    [("DATABASE_URL", main), ("ANALYTICS_DATABASE_URL", analytics)]
}

#[tokio::test]
async fn program_that_moves_in_does_the_same_after_each_step() {
    for step in ["before", "pool", "imports", "after"] {
        let printed = succeeds(example(&format!("moving_{step}")).envs(moving().await));
        assert_eq!(printed, "Ada: 1\nBob: 1\n", "{step}");
    }
}

#[tokio::test]
async fn tests_of_the_program_that_moves_in_leave_nothing() {
    let variables = moving().await;
    for step in ["before", "after"] {
        let tests = example_tests(&format!("moving_{step}"));
        let said = succeeds(Command::new(tests).arg("--nocapture").envs(variables.clone()));
        assert!(said.contains("test tests::users_get_a_letter ... ok"), "{step}: {said}");
    }
    let printed = succeeds(example("moving_after").envs(variables));
    assert_eq!(printed, "Ada: 1\nBob: 1\n");
}
