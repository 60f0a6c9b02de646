//! The session variables that a migration may change.

use std::collections::HashMap;

use diesel::sql_types::{Nullable, Text};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::{Mysql, ServerMessage};

/// Variables that are not restored: they change by themselves, or are for the next statement alone.
const VOLATILE: [&str; 14] = [
    // Properties of the database, which may have been altered.
    "character_set_database",
    "collation_database",
    "error_count",
    "gtid_next",
    "identity",
    "in_transaction",
    "insert_id",
    "last_gtid",
    "last_insert_id",
    "pseudo_thread_id",
    "rand_seed1",
    "rand_seed2",
    "timestamp",
    "warning_count",
];

/// `ER_GLOBAL_VARIABLE` and `ER_INCORRECT_GLOBAL_LOCAL_VAR`: the variable belongs to the server and not to the session.
/// Another session may have set it meanwhile, and a migration is free to.
const NOT_OF_THE_SESSION: [u32; 2] = [1229, 1238];

#[derive(QueryableByName)]
struct Variable {
    #[diesel(sql_type = Text, column_name = "Variable_name")]
    name: String,
    #[diesel(sql_type = Nullable<Text>, column_name = "Value")]
    value: Option<String>,
}

pub(super) async fn variables(connection: &mut Mysql) -> QueryResult<HashMap<String, String>> {
    let variables: Vec<Variable> = sql_query("SHOW SESSION VARIABLES").load(connection).await?;
    let pairs =
        variables.into_iter().map(|Variable { name, value }| (name, value.unwrap_or_default()));
    Ok(pairs.filter(|(name, _)| !VOLATILE.contains(&name.as_str())).collect())
}

/// Restores the variables that have changed.
pub(super) async fn restore(
    connection: &mut Mysql,
    before: &HashMap<String, String>,
) -> QueryResult<()> {
    connection.batch_execute("SET timestamp = DEFAULT").await?;
    for (name, value) in variables(connection).await? {
        match before.get(&name) {
            Some(before) if *before != value => set(connection, &name, before).await?,
            _ => {}
        }
    }
    Ok(())
}

async fn set(connection: &mut Mysql, name: &str, value: &str) -> QueryResult<()> {
    let quoted = format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"));
    // The server lists all values as text, and accepts the values of numeric variables only as numbers.
    let is_number = value.parse::<f64>().is_ok();
    if is_number
        && connection.batch_execute(&format!("SET SESSION `{name}` = {value}")).await.is_ok()
    {
        return Ok(());
    }
    let Err(error) = connection.batch_execute(&format!("SET SESSION `{name}` = {quoted}")).await
    else {
        return Ok(());
    };
    let errors: Vec<ServerMessage> = sql_query("SHOW ERRORS").load(connection).await?;
    match errors.last() {
        Some(noted) if NOT_OF_THE_SESSION.contains(&noted.code) => Ok(()),
        _ => Err(error),
    }
}
