//! Readers of a SQLite database in memory, which is one connection for reads and for writes.

use diesel::prelude::*;
use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables, binds};

diesel::table! { things (id) { id -> Integer, } }
binds! { Main: Sqlite = "main"; }
bind_tables!(Main; things);

#[tokio::test]
async fn the_connection_refuses_writes_while_a_reader_has_it() -> Result<(), Error> {
    let registry = Registry::builder().bind("main", "sqlite::memory:").build()?;
    let create = "CREATE TABLE things (id INTEGER PRIMARY KEY)";
    diesel::sql_query(create).bound_to::<Main>().execute(&registry).await?;
    let insert = |id| diesel::insert_into(things::table).values(things::id.eq(id));
    insert(1).execute(&registry).await?;

    let reader = registry.reader();
    let delete = || diesel::sql_query("DELETE FROM things").reads::<Main>();
    let error = delete().execute(&reader).await.expect_err("a write");
    let Error::Query(error) = error else { panic!("{error:?}") };
    assert_eq!(error.as_diesel().to_string(), "attempt to write a readonly database");

    let mut session = reader.session::<Main>().await?;
    let count = session
        .snapshot(async |session| things::table.count().get_result::<i64>(session).await)
        .await?;
    assert_eq!(count, 1);
    // Also after a snapshot.
    let error = delete().execute(&mut session).await.expect_err("a write");
    assert_eq!(error.to_string(), "attempt to write a readonly database");
    drop(session);

    insert(2).execute(&registry).await?;
    assert_eq!(things::table.count().get_result::<i64>(&reader).await?, 2);
    Ok(())
}
