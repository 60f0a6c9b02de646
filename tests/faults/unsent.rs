//! Connections of PostgreSQL that are lost before anything of a query was sent, as the observed stream shows.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::{BindSettings, Error, Postgres, Registry, RunQueryDsl, bind_tables};

use crate::support::proxy::{Proxy, soon};
use crate::support::{self, log};

diesel::table! {
    things (id) {
        id -> Integer,
        value -> Integer,
    }
}
bind_tables!(db = "default", backend = Postgres; things);

type Main = <things::table as registry_core::Bound>::Bind;

struct Case {
    proxy: Proxy,
    registry: Registry,
    observer: Postgres,
}

impl Case {
    /// A registry behind a proxy. Its connection is lent unchecked. Tenants have a schema each.
    async fn new(settings: impl FnOnce(BindSettings) -> BindSettings) -> Self {
        let url = support::postgres().database("unsent");
        let mut observer = Postgres::establish(&url).await.expect("it is up");
        let create = "CREATE TABLE things (id SERIAL PRIMARY KEY, value INTEGER NOT NULL); \
                      CREATE SCHEMA tenant_acme; CREATE SCHEMA tenant_globex; \
                      CREATE TABLE tenant_acme.things (LIKE things INCLUDING ALL); \
                      CREATE TABLE tenant_globex.things (LIKE things INCLUDING ALL)";
        observer.batch_execute(create).await.expect("an empty database");
        let proxy = Proxy::before(support::postgres().port()).await;
        let bind = BindSettings::new(proxy.url(&url))
            .max_connections(1)
            .check_idle_after(Duration::from_secs(600));
        let registry = Registry::builder().bind("default", settings(bind)).build();
        Self { proxy, registry: registry.expect("good settings"), observer }
    }

    /// Closes the connections. Blocks this thread meanwhile, so that the driver, whose task runs on the same thread, does not
    /// notice.
    fn cut_unnoticed(&self) {
        self.proxy.cut();
        while self.proxy.open() > 0 {
            std::thread::yield_now();
        }
    }

    async fn count(&mut self) -> i64 {
        diesel_async::RunQueryDsl::get_result(things::table.count(), &mut self.observer)
            .await
            .expect("a count")
    }
}

async fn insert(registry: &Registry) -> Result<usize, Error> {
    diesel::insert_into(things::table).values(things::value.eq(1)).execute(registry).await
}

#[tokio::test]
async fn write_is_run_again_if_nothing_of_it_was_sent() {
    let mut case = Case::new(|bind| bind).await;
    let (log, _guard) = log::own_log();
    for inserted in 1..=10 {
        insert(&case.registry).await.expect("a row");
        assert_eq!(case.count().await, 2 * inserted - 1);
        case.cut_unnoticed();
        // The runtime notices that the socket has something to read, and wakes the driver. The test goes on before the driver,
        // so it sends its statement. The driver reads first, and then has nobody to send the statement to.
        tokio::task::yield_now().await;
        insert(&case.registry).await.expect("a row, on another connection");
        assert_eq!(case.count().await, 2 * inserted);
    }
    assert!(!log.lines_with("a query is run again").is_empty());
}

#[tokio::test]
async fn write_that_was_sent_to_a_closed_connection_is_not_run_again() {
    let mut case = Case::new(|bind| bind).await;
    for inserted in 1..=5 {
        insert(&case.registry).await.expect("a row");
        case.cut_unnoticed();
        let error = insert(&case.registry).await.expect_err("it was sent, to nobody");
        assert!(error.is_connection_lost() && error.is_transient(), "{error:?}");
        assert_eq!(case.count().await, inserted);
    }
}

#[tokio::test]
async fn connection_that_the_driver_knows_to_be_closed_is_replaced_before_it_is_lent() {
    let mut case = Case::new(|bind| bind).await;
    for inserted in 1..=10 {
        let mut session = case.registry.session::<Main>().await.expect("a session");
        let insert = diesel::insert_into(things::table).values(things::value.eq(1));
        insert.execute(&mut session).await.expect("a live connection");
        drop(session);
        // In the time of this query, the driver reads the end of its stream.
        case.cut_unnoticed();
        assert_eq!(case.count().await, inserted);
    }
}

#[tokio::test]
async fn connection_that_is_lost_at_the_switch_of_schemas_is_replaced() {
    let case = Case::new(|bind| bind.tenant_schema("tenant_{tenant}")).await;
    for round in 1..=3 {
        for name in ["acme", "globex"] {
            let tenant = case.registry.tenant(name).expect("a good name");
            let insert = || diesel::insert_into(things::table).values(things::value.eq(1));
            insert().execute(&tenant).await.expect("a row");
            case.cut_unnoticed();
            // The switch to the schema finds out, and nothing of the query was sent.
            insert().execute(&tenant).await.expect("a row, on another connection");
            let count: i64 = things::table.count().get_result(&tenant).await.expect("a count");
            assert_eq!(count, 2 * round);
        }
    }
    case.proxy.refuse().await;
    case.cut_unnoticed();
    let tenant = case.registry.tenant("acme").expect("a good name");
    let error = soon(things::table.load::<(i32, i32)>(&tenant)).await.expect_err("no server");
    assert!(matches!(error, Error::Acquire(_)) && error.is_transient(), "{error:?}");
}
