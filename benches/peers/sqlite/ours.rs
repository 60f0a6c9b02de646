//! registry-core on SQLite, with its defaults.

use std::hint::black_box;

use diesel::prelude::*;
use diesel::sql_types::Text;
use registry_core::Registry;

use super::database::{Item, STATE, Sale, check, items, sales};
use crate::case::Outcome;
use crate::peers::{Find, Insert};

pub(crate) async fn registry(path: &str) -> Registry {
    let url = format!("sqlite://{path}");
    let registry = Registry::builder().bind("default", url).build().expect("a registry");
    // By default it sets what is set for the peers.
    let mut session = registry.session_for::<Item>().await.expect("a session");
    let state = diesel::dsl::sql::<Text>(STATE);
    let state: String =
        diesel_async::RunQueryDsl::get_result(state, &mut session).await.expect("settings");
    check(&state);
    drop(session);
    registry
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
