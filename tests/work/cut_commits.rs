//! Commits on PostgreSQL that take a while, and whose connection is cut meanwhile.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use crate::support::proxy::Proxy;

/// A table in which a user whose friend does not exist violates a constraint only at the commit.
pub(crate) const CREATE_USERS: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, \
    friend INTEGER REFERENCES users DEFERRABLE INITIALLY DEFERRED)";

/// Makes each commit of a new user take half a second.
pub(crate) const SLOW_COMMITS: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$; \
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED \
    FOR EACH ROW EXECUTE FUNCTION slow()";

/// Awaits `commit`, and cuts its connection once the server runs the `COMMIT`. Returns the outcome after the server has
/// completed it. `database` is the URL that bypasses the proxy.
pub(crate) async fn cut_in_commit<F: Future>(
    database: &str,
    proxy: &Proxy,
    commit: F,
) -> F::Output {
    let mut observer = AsyncPgConnection::establish(database).await.expect("a connection");
    let (outcome, ()) = tokio::join!(commit, async {
        while in_commit(&mut observer).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.cut();
    });
    while in_commit(&mut observer).await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    outcome
}

/// How many connections of the server are running a `COMMIT`.
async fn in_commit(observer: &mut AsyncPgConnection) -> i64 {
    let count = sql::<BigInt>(
        "count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND query = 'COMMIT' AND state = 'active'",
    );
    diesel::select(count).get_result(observer).await.expect("a count")
}
