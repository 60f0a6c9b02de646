//! The compile errors for mistakes of users. Each `tests/ui/*/*.rs` contains one mistake, and the `.stderr` beside it is
//! the expected message. `TRYBUILD=overwrite` in the environment writes the messages anew.
//!
//! The messages depend on the features, so this test runs with all backends (`tests/ui/fail`), with SQLite alone
//! (`tests/ui/fail-sqlite-only`) and with no feature, as a crate of tables has it (`tests/ui/fail-tables`). It fails with any
//! other combination. It is here instead of in the root package because
//! trybuild does not pass features on to a package without a library.

#[test]
fn compile_errors_match_their_snapshots() {
    let cases = trybuild::TestCases::new();
    match (cfg!(feature = "postgres"), cfg!(feature = "mysql"), cfg!(feature = "sqlite")) {
        (true, true, true) => cases.compile_fail("tests/ui/fail/*.rs"),
        (false, false, true) => cases.compile_fail("tests/ui/fail-sqlite-only/*.rs"),
        (false, false, false) if cfg!(not(feature = "engine")) => {
            cases.compile_fail("tests/ui/fail-tables/*.rs");
        }
        _ => panic!(
            "the messages are known for all backends (`--all-features`), for SQLite alone (`--features sqlite`) and without features"
        ),
    }
}
