//! registry-core on MariaDB, with its defaults.

use std::hint::black_box;

use diesel::prelude::*;
use registry_core::Registry;

use super::database::{Item, Sale, items, sales};
use crate::case::Outcome;
use crate::peers::{Find, Insert};

pub(crate) fn registry(url: &str) -> Registry {
    Registry::builder().bind("default", url).build().expect("a registry")
}

/// The registry as the executor of routed queries.
#[derive(Clone)]
pub(crate) struct Routed(pub(crate) Registry);

impl Find for Routed {
    async fn find(&self, id: i64) -> Outcome {
        let query = items::table.find(id).select(Item::as_select());
        let item: Item = registry_core::RunQueryDsl::get_result(query, &self.0).await?;
        black_box(item);
        Ok(())
    }
}

impl Insert for Routed {
    async fn insert(&self, item: i64) -> Outcome {
        let sale = Sale { item_id: item, quantity: 1 };
        let insert = diesel::insert_into(sales::table).values(sale);
        registry_core::RunQueryDsl::execute(insert, &self.0).await?;
        Ok(())
    }
}

/// `session_for`, and diesel-async's methods on the session.
#[derive(Clone)]
pub(crate) struct Sessions(pub(crate) Registry);

impl Find for Sessions {
    async fn find(&self, id: i64) -> Outcome {
        let mut session = self.0.session_for::<Item>().await?;
        let query = items::table.find(id).select(Item::as_select());
        let item: Item = diesel_async::RunQueryDsl::get_result(query, &mut session).await?;
        black_box(item);
        Ok(())
    }
}

impl Insert for Sessions {
    async fn insert(&self, item: i64) -> Outcome {
        let mut session = self.0.session_for::<Item>().await?;
        let sale = Sale { item_id: item, quantity: 1 };
        let insert = diesel::insert_into(sales::table).values(sale);
        diesel_async::RunQueryDsl::execute(insert, &mut session).await?;
        Ok(())
    }
}
