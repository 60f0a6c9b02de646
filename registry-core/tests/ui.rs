//! What the compiler says to people's mistakes: each `tests/ui/*/*.rs` makes one, and the `.stderr`
//! beside it is the answer. `TRYBUILD=overwrite` in the environment writes the answers anew.
//!
//! They depend on the features, so this runs with all backends (`tests/ui/fail`) and with SQLite
//! alone (`tests/ui/fail-sqlite-only`), and fails with any other mix. It is here and not in the root
//! package because trybuild hands no features on to a package without a library.

#[test]
fn compile_errors_match_their_snapshots() {
    let cases = trybuild::TestCases::new();
    match (cfg!(feature = "postgres"), cfg!(feature = "mysql"), cfg!(feature = "sqlite")) {
        (true, true, true) => cases.compile_fail("tests/ui/fail/*.rs"),
        (false, false, true) => cases.compile_fail("tests/ui/fail-sqlite-only/*.rs"),
        _ => panic!(
            "the messages are known for all backends (`--all-features`) and for SQLite alone (`--features sqlite`)"
        ),
    }
}
