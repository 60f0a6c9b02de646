//! registry-core, with its defaults except for the number of connections.

use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::Arc;

use diesel::prelude::*;
use registry_core::{Backend, BindSettings, Postgres, Registry, Session, Sqlite, Tenant};

use super::{Subject, Urls};
use crate::plan::CONNECTIONS;
use crate::schema::{self, SHOP};

/// A connection type of this crate's, and its queries.
pub(crate) trait Connection: Backend + Sized {
    /// The bind of the table.
    type Shop: registry_core::Bind<Connection = Self>;

    /// On a session that was acquired by a key.
    fn read_by_key(session: &mut Keyed<Self>, id: i64) -> impl Future<Output = ()> + Send;

    /// Routed, through a tenant.
    fn read_routed(tenant: &Tenant, id: i64) -> impl Future<Output = ()> + Send;
}

type Keyed<C> = Session<registry_core::ByKey<C>>;

macro_rules! connection {
    ($backend:ident, $module:ident) => {
        impl Connection for $backend {
            type Shop = <schema::$module::items::table as registry_core::Bound>::Bind;

            async fn read_by_key(session: &mut Keyed<Self>, id: i64) {
                use schema::$module::{Item, items};

                let query = items::table.find(id).select(Item::as_select());
                let item: Item =
                    registry_core::RunQueryDsl::get_result(query, session).await.expect("a row");
                black_box(item);
            }

            async fn read_routed(tenant: &Tenant, id: i64) {
                use schema::$module::{Item, items};

                let query = items::table.find(id).select(Item::as_select());
                let item: Item =
                    registry_core::RunQueryDsl::get_result(query, tenant).await.expect("a row");
                black_box(item);
            }
        }
    };
}

connection!(Postgres, postgres);
connection!(Sqlite, sqlite);

fn settings(url: &str) -> BindSettings {
    BindSettings::new(url).max_connections(CONNECTIONS)
}

/// A registry whose settings name every bind. The bind is known only at run time, so a session is acquired by its key.
pub(crate) struct Named<C> {
    registry: Registry,
    keys: Arc<[String]>,
    connection: PhantomData<fn() -> C>,
}

impl<C> Named<C> {
    pub(crate) fn new(urls: &Urls) -> Self {
        let binds = urls.names().map(|name| {
            let settings = settings(&urls.of(&name));
            (name, settings)
        });
        let builder = binds
            .fold(Registry::builder(), |builder, (name, settings)| builder.bind(name, settings));
        let registry = builder.build().expect("a registry");
        Self { registry, keys: urls.names().collect(), connection: PhantomData }
    }
}

impl<C> Clone for Named<C> {
    fn clone(&self) -> Self {
        let Self { registry, keys, connection } = self;
        Self { registry: registry.clone(), keys: Arc::clone(keys), connection: *connection }
    }
}

impl<C: Connection> Subject for Named<C> {
    type Held = Keyed<C>;

    async fn hold(&self, bind: usize) -> Keyed<C> {
        self.registry.session_by_key::<C>(&self.keys[bind]).await.expect("a session")
    }

    async fn read(&self, bind: usize, id: i64) {
        C::read_by_key(&mut self.hold(bind).await, id).await;
    }
}

/// A registry with one bind, whose databases are those of tenants. Queries are routed.
pub(crate) struct Tenants<C> {
    registry: Registry,
    names: Arc<[String]>,
    connection: PhantomData<fn() -> C>,
}

impl<C> Tenants<C> {
    pub(crate) fn new(urls: &Urls) -> Self {
        let registry = Registry::builder()
            .bind(SHOP, settings(&urls.template))
            .max_engines(u32::try_from(urls.binds).expect("at most a thousand"))
            .build()
            .expect("a registry");
        Self { registry, names: urls.names().collect(), connection: PhantomData }
    }

    fn tenant(&self, bind: usize) -> Tenant {
        self.registry.tenant(&self.names[bind]).expect("a good name")
    }
}

impl<C> Clone for Tenants<C> {
    fn clone(&self) -> Self {
        let Self { registry, names, connection } = self;
        Self { registry: registry.clone(), names: Arc::clone(names), connection: *connection }
    }
}

impl<C: Connection> Subject for Tenants<C> {
    type Held = Session<C::Shop>;

    async fn hold(&self, bind: usize) -> Session<C::Shop> {
        self.tenant(bind).session::<C::Shop>().await.expect("a session")
    }

    async fn read(&self, bind: usize, id: i64) {
        C::read_routed(&self.tenant(bind), id).await;
    }
}
