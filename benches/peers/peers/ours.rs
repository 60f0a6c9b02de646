//! registry-core, with its defaults.

use std::hint::black_box;

use diesel::prelude::*;
use registry_core::Registry;

use super::{Acquire, Find};
use crate::database::{Item, items};

pub(crate) fn registry(url: &str) -> Registry {
    Registry::builder().bind("default", url).build().expect("a registry")
}

impl Acquire for Registry {
    async fn acquire(&self) {
        black_box(&self.session_for::<Item>().await.expect("a session"));
    }
}

impl Find for Registry {
    type Row = Item;

    async fn find(&self, id: i64) -> Item {
        let mut session = self.session_for::<Item>().await.expect("a session");
        let query = items::table.find(id).select(Item::as_select());
        diesel_async::RunQueryDsl::get_result(query, &mut session).await.expect("a row")
    }
}

/// The registry as the executor of routed queries.
#[derive(Clone)]
pub(crate) struct Routed(pub(crate) Registry);

impl Find for Routed {
    type Row = Item;

    async fn find(&self, id: i64) -> Item {
        let query = items::table.find(id).select(Item::as_select());
        registry_core::RunQueryDsl::get_result(query, &self.0).await.expect("a row")
    }
}
