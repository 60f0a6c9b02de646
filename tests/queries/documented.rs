//! The table in the documentation of `query` that says what is found out of a query, and when.

use std::fs::read_to_string;
use std::path::Path;

use crate::support::workspace;

use Proof::{Message, Test};

/// What holds a row of the table to its word.
enum Proof {
    /// A program that does not compile, and what the compiler says of it.
    Message(&'static str),
    /// A test in that file.
    Test(&'static str, &'static str),
}

const QUERIES: &str = "tests/bodies/queries.rs";
const SAME_NAMES: &str = "tests/bodies/same_names.rs";
const SCOPES: &str = "tests/bodies/scopes.rs";

/// How each row begins, and what holds it to its word.
const ROWS: [(&str, &[Proof]); 14] = [
    ("a query on a session of another database", &[Message("query_on_session_of_another_bind")]),
    ("a function that is handed such a session", &[Message("session_of_another_bind_as_lender")]),
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
        "the same in a query that was told where it belongs",
        &[Test(
            "registry-core/src/query/check/lost_locks.rs",
            "only_the_outermost_lock_of_a_bound_query_is_lost",
        )],
    ),
    ("a model bound to another database", &[Message("model_in_another_bind_than_its_table")]),
    (
        "a table of another database anywhere else",
        &[
            Test(SAME_NAMES, "a_table_is_its_type_wherever_it_stands_in_a_query"),
            Test(SAME_NAMES, "every_executor_refuses_and_goes_on"),
        ],
    ),
    (
        "one in a box",
        &[
            Test(SAME_NAMES, "what_is_in_a_box_goes_by_name"),
            Test(SAME_NAMES, "what_is_not_of_diesel_is_looked_into"),
        ],
    ),
    (
        "the same, if both databases have a table of that name",
        &[
            Test(SAME_NAMES, "what_is_in_a_box_goes_by_name"),
            Test(SAME_NAMES, "a_box_on_a_name_of_both_is_taken_for_its_own"),
        ],
    ),
    (
        "a query on the registry or a tenant in a [`Scope`]",
        &[Test(
            SCOPES,
            "queries_beside_the_unit_of_work_of_a_scope_are_warned_of_with_their_place",
        )],
    ),
    (
        "a query on the registry by a task that has a session",
        &[
            Test(QUERIES, "a_query_beside_a_session_of_its_bind_is_warned_of"),
            Test(SCOPES, "queries_beside_a_unit_of_work_are_warned_of_whichever_bind"),
        ],
    ),
    (
        "other tables in the text of `sql_query`",
        &[Test(QUERIES, "what_types_cannot_see_is_refused_before_it_is_sent")],
    ),
];

fn read(path: &Path) -> String {
    read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_row_of_what_is_found_out_and_when_has_a_test() {
    let documentation = read(&workspace().join("registry-core/src/query/mod.rs"));
    let rows = documentation
        .lines()
        .skip_while(|line| *line != "//! # What is found out, and when")
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
