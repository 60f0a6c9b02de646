//! What the guide shows of events and of recorded queries is what a program prints, apart from times and places.

use diesel::prelude::*;
use registry_core::{BindDsl, BindSettings, Registry, RunQueryDsl, bind_tables};

use crate::support::log::own_log;

mod analytics {
    diesel::table! { events (id) { id -> Integer, what -> Text, } }
    registry_core::bind_tables!(db = "analytics", backend = Sqlite; events);
}
diesel::table! { events (id) { id -> Integer, } }
bind_tables!(db = "default", backend = Sqlite; events);

const GUIDE: &str = include_str!("../../docs/guide/watching.md");

/// The first text after a heading of the guide that is in a block of its own.
fn text_after(heading: &str) -> &'static str {
    let (_, chapter) = GUIDE.split_once(heading).expect("the heading");
    let (_, block) = chapter.split_once("```text\n").expect("a block of text");
    block.split_once("```").expect("its end").0
}

/// The words of a line, without what differs from run to run.
fn words(line: &str) -> Vec<String> {
    let differs = |word: &str| word.ends_with("ms") || word.contains(".rs:");
    let words = line.split_whitespace().filter(|word| !differs(word));
    words
        .map(|word| if word.starts_with("elapsed=") { "elapsed" } else { word }.to_owned())
        .collect()
}

#[tokio::test]
async fn event_in_the_guide_is_what_a_program_logs() {
    let bind = BindSettings::new("sqlite::memory:").echo(true);
    let registry = Registry::builder().bind("analytics", bind).build().expect("good settings");
    let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    let create = diesel::sql_query(create).bound_to::<analytics::events::table>();
    create.execute(&registry).await.expect("an empty database");
    let (log, _guard) = own_log();
    let events = analytics::events::table.filter(analytics::events::what.eq("log-in"));
    events.count().get_result::<i64>(&registry).await.expect("a count");
    let logged = log.lines_with("registry::query").remove(0);
    let (_, logged) = logged.split_once(" INFO").expect("its level");
    assert_eq!(words(&format!("INFO{logged}")), words(text_after("### Each query")));
}

#[tokio::test]
async fn record_in_the_guide_is_what_a_program_prints() {
    let registry =
        Registry::builder().bind("default", "sqlite::memory:").build().expect("good settings");
    let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    let create = diesel::sql_query(create).bound_to::<events::table>();
    create.execute(&registry).await.expect("an empty database");
    let scope = registry.new_scope();
    scope.enter(events::table.select(events::id).load::<i32>(&registry)).await.expect("rows");
    let printed = scope.queries().to_string();
    assert_eq!(words(&printed), words(text_after("## Recorded queries")));
}
