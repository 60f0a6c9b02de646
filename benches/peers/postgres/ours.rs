//! registry-core on PostgreSQL, with its defaults.

use std::hint::black_box;

use diesel::prelude::*;
use registry_core::Registry;

use super::database::{Item, items};
use crate::case::Outcome;
use crate::peers::{Acquire, Find};

pub(crate) fn registry(url: &str) -> Registry {
    Registry::builder().bind("default", url).build().expect("a registry")
}

/// `session_for`, and diesel-async's methods on the session.
#[derive(Clone)]
pub(crate) struct Sessions(pub(crate) Registry);

impl Acquire for Sessions {
    async fn acquire(&self) -> Outcome {
        black_box(&self.0.session_for::<Item>().await?);
        Ok(())
    }
}

impl Find for Sessions {
    async fn find(&self, id: i64) -> Outcome {
        let mut session = self.0.session_for::<Item>().await?;
        let query = items::table.find(id).select(Item::as_select());
        let item: Item = diesel_async::RunQueryDsl::get_result(query, &mut session).await?;
        black_box(item);
        Ok(())
    }
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
