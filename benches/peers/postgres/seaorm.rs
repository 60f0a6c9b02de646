//! SeaORM, with its defaults, on its pool of sqlx's. Its query has a `LIMIT` that the others do not
//! need.

use std::hint::black_box;

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use crate::case::Outcome;
use crate::peers::{CONNECTIONS, Find};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "items")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    id: i64,
    name: String,
    price: i32,
    in_stock: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(CONNECTIONS);
    Database::connect(options).await.expect("a pool")
}

impl Find for DatabaseConnection {
    async fn find(&self, id: i64) -> Outcome {
        black_box(Entity::find_by_id(id).one(self).await?.ok_or("no row")?);
        Ok(())
    }
}
