//! bb8: bare, and with diesel-async's connections.

use std::convert::Infallible;
use std::hint::black_box;

use diesel::prelude::*;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, bb8::Pool,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Acquire, Find};
use crate::CONNECTIONS;
use crate::database::{Item, items};

/// As its documentation begins: with a query to check a connection each time it is lent.
pub(crate) async fn default(url: &str) -> Pool<AsyncPgConnection> {
    let manager = AsyncDieselConnectionManager::new(url);
    Pool::builder().max_size(CONNECTIONS).build(manager).await.expect("a pool")
}

/// Without checks.
pub(crate) async fn tuned(url: &str) -> Pool<AsyncPgConnection> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    let builder = Pool::builder().max_size(CONNECTIONS).test_on_check_out(false);
    builder.build(manager).await.expect("a pool")
}

impl Acquire for Pool<AsyncPgConnection> {
    async fn acquire(&self) {
        black_box(&self.get().await.expect("a connection"));
    }
}

impl Find for Pool<AsyncPgConnection> {
    type Row = Item;

    async fn find(&self, id: i64) -> Item {
        let mut connection = self.get().await.expect("a connection");
        let query = items::table.find(id).select(Item::as_select());
        query.get_result(&mut connection).await.expect("a row")
    }
}

/// The least that a pool over bb8 can cost: without checks, and with empty values as connections.
#[derive(Clone)]
pub(crate) struct Bare(bb8::Pool<Nothing>);

impl Bare {
    pub(crate) async fn new() -> Self {
        let builder = bb8::Pool::builder().max_size(CONNECTIONS).test_on_check_out(false);
        Self(builder.build(Nothing).await.expect("a pool"))
    }
}

impl Acquire for Bare {
    async fn acquire(&self) {
        black_box(&self.0.get_owned().await.expect("a connection"));
    }
}

struct Nothing;

impl bb8::ManageConnection for Nothing {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}
