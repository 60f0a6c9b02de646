//! How long the compiler takes for routed queries, beside the same queries with diesel-async's own methods:
//!
//! ```sh
//! cargo bench --manifest-path benches/Cargo.toml --bench compile
//! cargo bench --manifest-path benches/Cargo.toml --bench compile -- --rounds 11
//! ```
//!
//! It writes a package with two files of 200 queries on 20 tables and 20 more that are joined to them, builds
//! what they depend on, and then each file in turn, without incremental compilation. The tables are in a
//! crate of their own, which is built before. The figures are medians of wall times.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const TABLES: usize = 20;
const ROUNDS: usize = 7;

/// The most that our time may be, as a multiple of diesel-async's.
const BAR: f64 = 1.1;

fn main() {
    let rounds = rounds();
    let package = write_package();
    build(&package, "ours");
    build(&package, "theirs");
    let mut times = [("theirs", Vec::new()), ("ours", Vec::new())];
    for _ in 0..rounds {
        for (file, times) in &mut times {
            touch(&package.join(format!("examples/{file}.rs")));
            times.push(build(&package, file));
        }
    }
    let [theirs, ours] = times.map(|(_, times)| median(times));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("200 queries, diesel-async's methods  {theirs:>8.2?}");
    println!("200 queries, routed                  {ours:>8.2?}");
    let word = if ratio <= BAR { "met" } else { "missed" };
    println!("routed takes {ratio:.3} times as long, at most {BAR} asked: {word}");
}

/// Cargo adds arguments of its own.
fn rounds() -> usize {
    let mut arguments = std::env::args().skip(1);
    match arguments.by_ref().find(|argument| argument == "--rounds") {
        Some(_) => arguments.next().and_then(|n| n.parse().ok()).expect("--rounds takes a number"),
        None => ROUNDS,
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn touch(file: &Path) {
    let text = fs::read(file).expect("a file of ours");
    fs::write(file, text).expect("a file of ours");
}

/// Builds one of the files and returns how long it took.
fn build(package: &Path, file: &str) -> Duration {
    let started = Instant::now();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", file])
        .env("CARGO_INCREMENTAL", "0")
        // The repository's own target folder has the same dependencies, built for benches.
        .env("CARGO_TARGET_DIR", package.join("target"))
        .current_dir(package)
        .status()
        .expect("cargo");
    assert!(status.success(), "{file} does not compile");
    started.elapsed()
}

fn write_package() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let package = root.join("target/benchmarks/compile");
    fs::create_dir_all(package.join("src")).expect("a folder in target");
    fs::create_dir_all(package.join("examples")).expect("a folder in target");
    let write = |file: &str, text: String| {
        fs::write(package.join(file), text).expect("a file in target");
    };
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).expect("a file in target");
    write("Cargo.toml", manifest());
    write("src/lib.rs", tables());
    write("examples/theirs.rs", theirs());
    write("examples/ours.rs", ours());
    package
}

fn manifest() -> String {
    let examples = ["theirs", "ours"]
        .map(|name| format!("[[example]]\nname = \"{name}\"\ncrate-type = [\"lib\"]\n"));
    format!(
        "[package]\nname = \"queries\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\n\
         registry-core = {{ path = \"../../../registry-core\", features = [\"postgres\"] }}\n\
         diesel = {{ version = \"2.3\", default-features = false, features = [\"postgres_backend\"] }}\n\
         diesel-async = {{ version = \"0.9\", default-features = false, features = [\"postgres\"] }}\n{}",
        examples.concat()
    )
}

fn tables() -> String {
    let mut text = String::new();
    for n in 0..TABLES {
        let columns = "id -> Integer, name -> Text, at -> Integer, flag -> Bool,";
        let child = format!("id -> Integer, t{n}_id -> Integer, stars -> Integer,");
        write!(
            text,
            "diesel::table! {{ t{n} (id) {{ {columns} }} }}
             diesel::table! {{ c{n} (id) {{ {child} }} }}
             diesel::joinable!(c{n} -> t{n} (t{n}_id));
             diesel::allow_tables_to_appear_in_same_query!(t{n}, c{n});
             registry_core::bind_tables!(db = \"default\", backend = Postgres; t{n}, c{n});\n"
        )
        .expect("a string takes all");
    }
    text
}

fn theirs() -> String {
    let head = "use diesel::prelude::*;\nuse diesel_async::{AsyncPgConnection, RunQueryDsl};\n";
    functions(head, "&mut AsyncPgConnection", "diesel::result::Error")
}

fn ours() -> String {
    let head =
        "use diesel::prelude::*;\nuse registry_core::{OptionalExtension, Registry, RunQueryDsl};\n";
    functions(head, "&Registry", "registry_core::Error")
}

/// Ten kinds of queries, on each table.
fn functions(head: &str, executor: &str, error: &str) -> String {
    let mut text = format!("{head}use queries::*;\n");
    for n in 0..TABLES {
        let (t, c) = (format!("t{n}"), format!("c{n}"));
        let queries = [
            format!(
                "let _: Vec<String> = {t}::table.filter({t}::id.eq({n})).select({t}::name).load(on).await?;"
            ),
            format!(
                "let _: Option<i32> = {t}::table.filter({t}::name.like(\"a%\").and({t}::at.gt({n}))).select({t}::at).order({t}::id.desc()).limit(3).first(on).await.optional()?;"
            ),
            format!(
                "let _: Vec<(String, i32)> = {t}::table.inner_join({c}::table).filter({c}::stars.gt({n})).select(({t}::name, {c}::stars)).load(on).await?;"
            ),
            format!(
                "diesel::insert_into({t}::table).values(({t}::id.eq({n}), {t}::name.eq(\"x\"), {t}::at.eq(1), {t}::flag.eq(true))).execute(on).await?;"
            ),
            format!(
                "diesel::update({t}::table.find({n})).set({t}::name.eq(\"y\")).execute(on).await?;"
            ),
            format!("diesel::delete({t}::table.filter({t}::at.lt({n}))).execute(on).await?;"),
            format!(
                "let _: Vec<(i32, i64)> = {c}::table.group_by({c}::{t}_id).select(({c}::{t}_id, diesel::dsl::count_star())).load(on).await?;"
            ),
            format!(
                "let _: Vec<i32> = {t}::table.filter({t}::id.eq_any({c}::table.filter({c}::stars.eq({n})).select({c}::{t}_id))).select({t}::id).load(on).await?;"
            ),
            format!(
                "let _: Vec<(i32, String, i32, bool)> = {t}::table.filter({t}::flag.eq(true)).order({t}::name).load(on).await?;"
            ),
            format!(
                "let _: i64 = {t}::table.filter({t}::at.ge({n})).count().get_result(on).await?;"
            ),
        ];
        for (kind, query) in queries.iter().enumerate() {
            writeln!(
                text,
                "pub async fn q{n}_{kind}(on: {executor}) -> Result<(), {error}> {{ {query} Ok(()) }}"
            )
            .expect("a string takes all");
        }
    }
    text
}
