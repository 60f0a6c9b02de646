//! Services with an array of numbers and an array of a composite type, in a schema of their own.

use std::io::Write;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql, WriteTuple};
use diesel::sql_types::{Integer, Record, SqlType, Text};

use super::prelude::*;

mod sql_types {
    #[derive(Debug, Clone, diesel::query_builder::QueryId, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "endpoint", schema = "inventory"))]
    pub struct Endpoint;
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Endpoint;

    inventory.service (id) {
        id -> Integer,
        name -> Text,
        online -> Bool,
        dependencies -> Array<Nullable<Integer>>,
        endpoints -> Array<Nullable<Endpoint>>,
    }
}

pub(super) const TABLES: &[&str] = &[
    "CREATE SCHEMA inventory",
    "CREATE TYPE inventory.protocol AS ENUM ('http', 'udp')",
    "CREATE TYPE inventory.endpoint AS (name TEXT, port INTEGER, protocol inventory.protocol)",
    "CREATE TABLE inventory.service (id INTEGER PRIMARY KEY, name TEXT NOT NULL, \
        online BOOLEAN NOT NULL, dependencies INTEGER[] NOT NULL, \
        endpoints inventory.endpoint[] NOT NULL)",
];

#[derive(SqlType)]
#[diesel(postgres_type(name = "protocol", schema = "inventory"))]
struct PgProtocol;

#[derive(Debug, Clone, Copy, PartialEq, FromSqlRow, AsExpression)]
#[diesel(sql_type = PgProtocol)]
enum Protocol {
    Http,
    Udp,
}

impl ToSql<PgProtocol, Pg> for Protocol {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(match self {
            Self::Http => b"http",
            Self::Udp => b"udp",
        })?;
        Ok(IsNull::No)
    }
}

impl FromSql<PgProtocol, Pg> for Protocol {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        match bytes.as_bytes() {
            b"http" => Ok(Self::Http),
            b"udp" => Ok(Self::Udp),
            _ => Err("a protocol that is not known".into()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, FromSqlRow, AsExpression)]
#[diesel(sql_type = sql_types::Endpoint)]
struct Endpoint {
    name: String,
    port: i32,
    protocol: Protocol,
}

impl ToSql<sql_types::Endpoint, Pg> for Endpoint {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let fields = (&self.name, &self.port, &self.protocol);
        WriteTuple::<(Text, Integer, PgProtocol)>::write_tuple(&fields, &mut out.reborrow())
    }
}

impl FromSql<sql_types::Endpoint, Pg> for Endpoint {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        let (name, port, protocol) =
            FromSql::<Record<(Text, Integer, PgProtocol)>, Pg>::from_sql(bytes)?;
        Ok(Self { name, port, protocol })
    }
}

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = service)]
struct Service {
    id: i32,
    name: String,
    online: bool,
    dependencies: Vec<Option<i32>>,
    endpoints: Vec<Option<Endpoint>>,
}

#[derive(Default, AsChangeset)]
#[diesel(table_name = service)]
struct Changes {
    name: Option<String>,
    online: Option<bool>,
    endpoints: Option<Vec<Option<Endpoint>>>,
}

impl Service {
    async fn create(connection: &mut Connection, new: &Self) -> QueryResult<Self> {
        diesel::insert_into(service::table).values(new).get_result::<Self>(connection).await
    }

    async fn count(connection: &mut Connection) -> QueryResult<i64> {
        service::table.count().get_result::<i64>(connection).await
    }

    async fn exists(connection: &mut Connection, id: i32) -> QueryResult<bool> {
        let found = service::table.find(id).first::<Self>(connection).await.optional()?;
        Ok(found.is_some())
    }

    async fn is_online(connection: &mut Connection, id: i32) -> QueryResult<bool> {
        service::table
            .filter(service::id.eq(id))
            .select(service::online)
            .first::<bool>(connection)
            .await
    }

    async fn all_are_online(connection: &mut Connection, ids: &[i32]) -> QueryResult<bool> {
        for id in ids {
            if !Self::is_online(connection, *id).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn online(connection: &mut Connection, online: bool) -> QueryResult<Vec<Self>> {
        service::table
            .filter(service::online.eq(online))
            .select(Self::as_returning())
            .load::<Self>(connection)
            .await
    }

    async fn dependencies(connection: &mut Connection, id: i32) -> QueryResult<Vec<Option<i32>>> {
        service::table
            .filter(service::id.eq(id))
            .select(service::dependencies)
            .first::<Vec<Option<i32>>>(connection)
            .await
    }

    async fn endpoints(connection: &mut Connection, id: i32) -> QueryResult<Vec<Option<Endpoint>>> {
        service::table
            .filter(service::id.eq(id))
            .select(service::endpoints)
            .first::<Vec<Option<Endpoint>>>(connection)
            .await
    }

    async fn read(connection: &mut Connection, id: i32) -> QueryResult<Self> {
        service::table.filter(service::id.eq(id)).first::<Self>(connection).await
    }

    async fn read_all(connection: &mut Connection) -> QueryResult<Vec<Self>> {
        service::table.load::<Self>(connection).await
    }

    async fn set_online(connection: &mut Connection, id: i32, online: bool) -> QueryResult<()> {
        diesel::update(service::table.filter(service::id.eq(id)))
            .set(service::online.eq(online))
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn update(connection: &mut Connection, id: i32, changes: &Changes) -> QueryResult<Self> {
        diesel::update(service::table.filter(service::id.eq(id)))
            .set(changes)
            .returning(Self::as_returning())
            .get_result(connection)
            .await
    }

    async fn delete(connection: &mut Connection, id: i32) -> QueryResult<usize> {
        diesel::delete(service::table.filter(service::id.eq(id))).execute(connection).await
    }
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let endpoint = |port, protocol| Some(Endpoint { name: format!("at {port}"), port, protocol });
    let mail = Service {
        id: 1,
        name: "mail".to_owned(),
        online: true,
        dependencies: vec![Some(2), None],
        endpoints: vec![endpoint(80, Protocol::Http), endpoint(53, Protocol::Udp)],
    };
    assert_eq!(Service::create(connection, &mail).await?, mail);
    let clock = Service { id: 2, name: "clock".to_owned(), endpoints: vec![None], ..mail.clone() };
    assert_eq!(Service::create(connection, &clock).await?, clock);
    assert_eq!(Service::count(connection).await?, 2);
    assert!(Service::exists(connection, 1).await?);
    assert!(!Service::exists(connection, 3).await?);
    Service::set_online(connection, 2, false).await?;
    assert!(!Service::all_are_online(connection, &[1, 2]).await?);
    assert_eq!(Service::online(connection, true).await?, std::slice::from_ref(&mail));
    assert_eq!(Service::online(connection, false).await?.len(), 1);
    assert_eq!(Service::dependencies(connection, 1).await?, mail.dependencies);
    assert_eq!(Service::endpoints(connection, 1).await?, mail.endpoints);
    let changes = Changes { endpoints: Some(vec![]), online: Some(true), ..Changes::default() };
    let changed = Service::update(connection, 2, &changes).await?;
    assert_eq!(changed, Service { endpoints: vec![], ..clock });
    assert_eq!(Service::read(connection, 2).await?, changed);
    assert_eq!(Service::read_all(connection).await?.len(), 2);
    assert_eq!(Service::delete(connection, 1).await?, 1);
    assert_eq!(Service::count(connection).await?, 1);
    Ok(())
}
