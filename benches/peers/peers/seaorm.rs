//! SeaORM, with its defaults, on its pool of sqlx's. Its query has a `LIMIT` that the others do not
//! need.

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use super::Find;
use crate::CONNECTIONS;

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
    type Row = Model;

    async fn find(&self, id: i64) -> Model {
        Entity::find_by_id(id).one(self).await.expect("an answer").expect("a row")
    }
}
