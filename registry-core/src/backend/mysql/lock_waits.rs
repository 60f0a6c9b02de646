//! Migrations that wait for locks.

use std::collections::HashMap;
use std::time::Duration;

use diesel::sql_types::Text;
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::{Mysql, ServerMessage};

/// `ER_LOCK_WAIT_TIMEOUT`, of a row and of a table.
const LOCK_WAIT_TIMEOUT: u32 = 1205;

/// The counts of statements that get the locks of their tables before they change anything, and give up what they have
/// begun if they cannot get another one. Not `DROP TABLE`, which may drop some of its tables.
const ALL_OR_NOTHING: [&str; 5] =
    ["Com_alter_table", "Com_create_index", "Com_drop_index", "Com_rename_table", "Com_truncate"];

/// `lock_wait_timeout` is for tables, which DDL locks, and the other one for rows. Both count seconds.
pub(super) async fn set_timeout(connection: &mut Mysql, limit: Duration) -> QueryResult<()> {
    let seconds = limit.as_millis().div_ceil(1000).clamp(1, 31_536_000);
    let set =
        format!("SET SESSION lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}");
    connection.batch_execute(&set).await
}

pub(super) async fn has_conflict(connection: &mut Mysql) -> bool {
    let errors = sql_query("SHOW ERRORS").load::<ServerMessage>(connection).await;
    errors.is_ok_and(|errors| errors.last().is_some_and(|error| error.code == LOCK_WAIT_TIMEOUT))
}

#[derive(QueryableByName)]
struct StatusVariable {
    #[diesel(sql_type = Text, column_name = "Variable_name")]
    name: String,
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

/// How many statements of each kind this session has run, those in procedures, too. What shows something, and what prepares
/// a statement, is not counted, because this statement does both.
pub(super) async fn statement_counts(connection: &mut Mysql) -> QueryResult<HashMap<String, u64>> {
    let counts = sql_query(r"SHOW SESSION STATUS LIKE 'Com\_%'");
    let counts: Vec<StatusVariable> = counts.load(connection).await?;
    let counted = counts
        .into_iter()
        .filter(|count| !["Com_show", "Com_stmt"].iter().any(|kind| count.name.starts_with(kind)));
    Ok(counted
        .filter_map(|StatusVariable { name, value }| Some((name, value.parse().ok()?)))
        .collect())
}

/// Whether the session has run one statement since these counts, and that one does all or nothing.
pub(super) async fn has_only_waited(connection: &mut Mysql, before: &HashMap<String, u64>) -> bool {
    let Ok(now) = statement_counts(connection).await else { return false };
    let mut run = now.iter().filter(|(name, count)| before.get(*name) != Some(count));
    let Some((name, count)) = run.next() else { return false };
    run.next().is_none()
        && ALL_OR_NOTHING.contains(&name.as_str())
        && before.get(name).is_some_and(|before| *count == before + 1)
}
