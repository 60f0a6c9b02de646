//! registry-core, with its defaults.

use std::hint::black_box;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
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
        query.get_result(&mut session).await.expect("a row")
    }
}
