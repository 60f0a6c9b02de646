//! deadpool with diesel-async's connections.

use std::hint::black_box;

use diesel::prelude::*;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool::Pool,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Acquire, Find};
use crate::CONNECTIONS;
use crate::database::{Item, items};

/// As its documentation begins: with a query to check a connection each time it is lent.
pub(crate) fn default(url: &str) -> Pool<AsyncPgConnection> {
    pool(AsyncDieselConnectionManager::new(url))
}

/// Without checks.
pub(crate) fn tuned(url: &str) -> Pool<AsyncPgConnection> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    pool(AsyncDieselConnectionManager::new_with_config(url, config))
}

fn pool(manager: AsyncDieselConnectionManager<AsyncPgConnection>) -> Pool<AsyncPgConnection> {
    Pool::builder(manager).max_size(CONNECTIONS as usize).build().expect("a pool")
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
