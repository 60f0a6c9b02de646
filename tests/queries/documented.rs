//! Holds the table in the documentation of `query`, which lists the mistakes that are detected and when, to tests.

use std::fs::read_to_string;
use std::path::Path;

use crate::support::workspace;

use Proof::{Message, Test};

/// The proof of a row of the table.
enum Proof {
    /// A program that does not compile, with the message of the compiler.
    Message(&'static str),
    /// A test, by the file that it is in.
    Test(&'static str, &'static str),
}

const QUERIES: &str = "tests/bodies/queries/executors.rs";
const REFUSALS: &str = "tests/bodies/same_names/refusals.rs";
const BOXED: &str = "tests/bodies/same_names/boxed.rs";
const OWN_EXPRESSIONS: &str = "tests/bodies/same_names/own_expressions.rs";
const BOUND_TO: &str = "tests/bodies/bound_to.rs";
const GENERIC: &str = "tests/queries/dialects.rs";
const READERS: &str = "tests/bodies/readers/refusals.rs";
const READ_ONLY_SERVERS: &str = "tests/bodies/readers/servers.rs";
const SCOPES: &str = "tests/bodies/scopes/warnings.rs";

/// The beginning of each row, and its proofs.
const ROWS: [(&str, &[Proof]); 24] = [
    (
        "a query on a session of another database",
        &[
            Message("query_on_session_of_another_bind"),
            Message("query_on_any_executor_of_another_bind"),
        ],
    ),
    (
        "a session of another database, passed to a function",
        &[
            Message("session_of_another_bind_as_lender"),
            Message("any_executor_from_session_of_another_bind"),
            Message("generic_query_of_another_bind"),
        ],
    ),
    (
        "a query on `&session` of MySQL, MariaDB or SQLite",
        &[
            Message("query_on_shared_session_of_mysql"),
            Message("query_on_shared_session_of_sqlite"),
        ],
    ),
    (
        "a join, a `UNION` (of boxed queries, too) or a subquery in `WHERE`",
        &[
            Message("query_joins_two_binds"),
            Message("query_unites_two_binds"),
            Message("query_unites_boxes_of_two_binds"),
            Message("query_has_subquery_of_another_bind"),
        ],
    ),
    (
        "the same in an `UPDATE` or a `DELETE`, and in a `select(exists(..))`",
        &[
            Message("query_deletes_by_subquery_of_another_bind"),
            Message("query_asks_another_bind"),
            Message("query_asks_deep_in_another_bind"),
        ],
    ),
    (
        "a table that is not bound; a query without a table",
        &[Message("query_of_unbound_table"), Message("query_without_table_on_registry")],
    ),
    (
        "a locking clause, such as `for_update()`",
        &[Message("query_locks_rows_on_registry"), Message("query_locks_rows_of_a_part_on_tenant")],
    ),
    (
        "a locking clause in a query with `.bound_to::<Model>()`",
        &[
            Test(
                "registry-core/src/query/check/lost_locks.rs",
                "only_the_outermost_lock_of_a_bound_query_is_lost",
            ),
            Test(GENERIC, "locks_of_generic_code_are_refused_where_they_would_be_lost"),
        ],
    ),
    (
        "a query that writes on a reader",
        &[
            Message("query_inserts_on_reader"),
            Message("query_updates_on_read_session"),
            Message("query_deletes_in_box_on_reader_by_value"),
            Message("changes_saved_on_reader"),
            Message("rows_inserted_in_batches_on_reader"),
            Message("statements_batched_on_reader"),
        ],
    ),
    (
        "a locking clause on a reader",
        &[
            Message("query_locks_rows_on_reader"),
            Message("query_locks_rows_of_a_part_on_read_session"),
        ],
    ),
    (
        "SQL text or a query type of the program on a reader",
        &[Message("query_of_text_on_read_session"), Message("query_bound_to_on_reader")],
    ),
    (
        "a query that writes on an [`AnyExecutor`]",
        &[
            Test(READERS, "an_any_executor_of_a_reader_refuses_what_may_write"),
            Test(READERS, "generic_code_cannot_write_on_a_reader"),
        ],
    ),
    (
        "a locking clause in a subquery or in a box on a reader",
        &[
            Test("tests/queries/reader_locks.rs", "locks_are_refused_on_a_reader_at_any_depth"),
            Test(READERS, "a_false_claim_is_refused_on_every_executor"),
        ],
    ),
    (
        "SQL text that writes, on a reader",
        &[
            Test(READ_ONLY_SERVERS, "the_server_refuses_a_write_that_the_program_claims_to_read"),
            Test(
                READ_ONLY_SERVERS,
                "the_server_refuses_a_function_that_writes_in_a_query_of_diesel",
            ),
        ],
    ),
    ("a model bound to another database", &[Message("model_in_another_bind_than_its_table")]),
    (
        "a table of another database anywhere else",
        &[
            Test(REFUSALS, "tables_of_another_bind_are_refused_by_type_in_every_clause"),
            Test(REFUSALS, "every_executor_refuses_foreign_tables_and_stays_usable"),
        ],
    ),
    (
        "one in a box",
        &[
            Test(BOXED, "boxed_tables_are_checked_by_name"),
            Test(OWN_EXPRESSIONS, "tables_in_expressions_of_the_program_are_found_by_name"),
        ],
    ),
    (
        "the same, if both databases have a table of that name",
        &[
            Test(BOXED, "boxed_tables_are_checked_by_name"),
            Test(BOXED, "boxed_table_with_a_name_of_both_binds_is_taken_for_the_own_one"),
        ],
    ),
    (
        "one in the text of `sql_query` or `sql`",
        &[
            Test(BOUND_TO, "tables_of_other_binds_are_found_in_sql_text"),
            Test(BOUND_TO, "other_names_in_sql_text_are_no_tables"),
        ],
    ),
    (
        "a table that [`bind_foreign!`]",
        &[Test(BOUND_TO, "tables_of_another_crate_belong_to_the_bind_they_are_declared_for")],
    ),
    (
        "more bind variables than the database takes",
        &[Test("tests/bodies/batches.rs", "a_statement_with_too_many_values_is_refused")],
    ),
    (
        "a query on the registry or a tenant in a [`Scope`]",
        &[Test(SCOPES, "query_beside_the_work_of_a_scope_logs_a_warning_with_its_place")],
    ),
    (
        "a query on the registry by a task that has a session",
        &[
            Test(QUERIES, "query_beside_a_session_of_its_bind_logs_a_warning"),
            Test(SCOPES, "query_beside_a_unit_of_work_logs_a_warning_for_every_bind"),
        ],
    ),
    (
        "other tables in the text of `sql_query`",
        &[Test(
            QUERIES,
            "tables_of_another_bind_that_types_do_not_show_are_refused_before_sending",
        )],
    ),
];

fn read(path: &Path) -> String {
    read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_documented_mistake_has_a_test() {
    let documentation = read(&workspace().join("registry-core/src/query/mod.rs"));
    let rows = documentation
        .lines()
        .skip_while(|line| *line != "//! # Mistakes, and when they are detected")
        .filter_map(|line| line.strip_prefix("//! | "))
        .skip_while(|row| !row.starts_with("mistake"))
        .skip(1);
    let mut expected = ROWS.iter();
    for row in rows.take_while(|row| row.contains(" | ")) {
        let (begins, proofs) = expected.next().expect("as many rows as there are tests for");
        assert!(row.starts_with(begins), "no test is known for: {row}");
        for proof in *proofs {
            match proof {
                Message(name) => {
                    let program = format!("registry-core/tests/ui/fail/{name}");
                    read(&workspace().join(format!("{program}.rs")));
                    read(&workspace().join(format!("{program}.stderr")));
                }
                Test(file, name) => {
                    let text = read(&workspace().join(file));
                    assert!(text.contains(&format!("fn {name}(")), "no `{name}` in {file}");
                }
            }
        }
    }
    assert!(expected.next().is_none(), "a row that has tests is missing");
}
