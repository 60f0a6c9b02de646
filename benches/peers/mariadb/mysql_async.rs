//! mysql_async and its own pool.

use std::hint::black_box;

use mysql_async::prelude::Queryable;
use mysql_async::{Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};

use super::database::{FIND, INSERT};
use crate::case::Outcome;
use crate::peers::{CONNECTIONS, Checks, Find, Insert};

/// By default with a reset of each connection that is given back, which ends its prepared statements.
pub(crate) fn open(url: &str, checks: Checks) -> Pool {
    let connections = PoolConstraints::new(CONNECTIONS as usize, CONNECTIONS as usize);
    let options = PoolOpts::new()
        .with_constraints(connections.expect("no more at least than at most"))
        .with_reset_connection(checks == Checks::Default);
    let url = Opts::from_url(url).expect("a URL");
    Pool::new(OptsBuilder::from_opts(url).pool_opts(options))
}

impl Find for Pool {
    async fn find(&self, id: i64) -> Outcome {
        let mut connection = self.get_conn().await?;
        let item: Option<(i64, String, i32, bool)> = connection.exec_first(FIND, (id,)).await?;
        black_box(item.ok_or("no row")?);
        Ok(())
    }
}

impl Insert for Pool {
    async fn insert(&self, item: i64) -> Outcome {
        let mut connection = self.get_conn().await?;
        Ok(connection.exec_drop(INSERT, (item, 1)).await?)
    }
}
