//! The histogram of queries: what is measured, and with which labels.

use diesel::prelude::*;
use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};

use crate::exporter::{Exporter, with_exporter};
use crate::support::postgres;

diesel::table! {
    bills (id) {
        id -> Integer,
    }
}
bind_tables!(db = "billing", backend = Postgres; bills);

fn registry() -> Registry {
    let registry = Registry::builder().bind("billing", postgres().database("billing"));
    registry.build().expect("good settings")
}

/// The values of a label of the histogram, sorted, each with the number of its queries.
fn measured(exporter: &Exporter, label: &str) -> Vec<(String, f64)> {
    let samples = exporter.samples().into_iter();
    let counts = samples.filter(|sample| sample.name == "registry_query_duration_seconds_count");
    let mut measured: Vec<_> =
        counts.map(|sample| (sample.label(label).to_owned(), sample.value)).collect();
    measured.sort_by(|one, other| one.0.cmp(&other.0));
    measured
}

#[test]
fn begin_and_commit_are_not_measured() {
    with_exporter(async |exporter| {
        let registry = registry();
        let create = "CREATE TABLE bills (id INTEGER PRIMARY KEY)";
        let create = diesel::sql_query(create).bound_to::<bills::table>();
        create.execute(&registry).await.expect("an empty database");
        let mut work = registry.begin();
        let insert = diesel::insert_into(bills::table).values(bills::id.eq(1));
        insert.execute(&mut work).await.expect("a row");
        work.commit().await.expect("it commits");
        let expected = [("CREATE".to_owned(), 1.0), ("INSERT".to_owned(), 1.0)];
        assert_eq!(measured(exporter, "operation"), expected);
    });
}

#[test]
fn long_name_of_a_table_is_cut_in_its_label() {
    with_exporter(async |exporter| {
        let registry = registry();
        let query = format!("SELECT 1 FROM {}", "x".repeat(100));
        let query = diesel::sql_query(query).bound_to::<bills::table>();
        query.execute(&registry).await.expect_err("there is no such table");
        assert_eq!(measured(exporter, "table"), [("x".repeat(64), 1.0)]);
    });
}
