//! What is told of queries, on each backend.

mod attacked;
mod events;
mod recorded;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{BindSettings, Bound, Registry, RegistryBuilder, bind_tables};

use super::{NAME, database};

diesel::table! { orders (id) { id -> Integer, buyer -> Text, } }
bind_tables!(db = "shop", connection = super::Backend; orders);

type Shop = <orders::table as Bound>::Bind;

const CREATE: &str =
    "CREATE TABLE orders (id INTEGER PRIMARY KEY NOT NULL, buyer VARCHAR(50) NOT NULL)";

/// A registry with an empty table, whose bind and builder have these settings.
async fn registry_with(
    bind: impl FnOnce(BindSettings) -> BindSettings,
    builder: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
) -> Registry {
    let bind = bind(BindSettings::new(database()));
    let registry = builder(Registry::builder().bind("shop", bind)).build().expect("good settings");
    let mut session = registry.session::<Shop>().await.expect("a session");
    session.batch_execute(CREATE).await.expect("a new database");
    drop(session);
    registry
}

async fn registry() -> Registry {
    registry_with(|bind| bind, |builder| builder).await
}

fn order(
    id: i32,
) -> (diesel::dsl::Eq<orders::id, i32>, diesel::dsl::Eq<orders::buyer, &'static str>) {
    (orders::id.eq(id), orders::buyer.eq("hunter2"))
}
