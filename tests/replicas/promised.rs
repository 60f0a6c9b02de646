//! The reader and the token as a program writes them down: in helpers, in messages, with their types.

use std::time::Duration;

use diesel::prelude::*;
use registry_core::{
    AnyExecutor, BindHealth, BindSettings, Error, ReadSession, Registry, Role, RunQueryDsl, Scope,
    Settings, Token, WhenBehind, bind, bind_tables, binds,
};
use tokio::task::block_in_place;

use crate::support::proxy::soon;
use crate::support::replicas::Cluster;

diesel::table! { orders (id) { id -> Integer, customer -> Integer, } }

binds! { Shop: Postgres = "shop"; }
bind_tables!(Shop; orders);

#[bind(table)]
#[derive(Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = orders)]
struct Order {
    id: i32,
    customer: i32,
}

async fn orders_of(on: &mut AnyExecutor<'_, Shop>, customer: i32) -> Result<Vec<Order>, Error> {
    orders::table.filter(orders::customer.eq(customer)).select(Order::as_select()).load(on).await
}

async fn add(registry: &Registry, id: i32) -> Result<Token, Error> {
    let mut work = registry.begin();
    let order = Order { id, customer: 1 };
    diesel::insert_into(orders::table).values(order).execute(&mut work).await?;
    Ok(work.commit().await?.token())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn program_reads_after_tokens_that_it_has_sent_around() -> Result<(), Error> {
    let cluster = block_in_place(|| Cluster::postgres(1));
    let url = block_in_place(|| {
        let url = cluster.database("test");
        let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL)";
        cluster.execute_in(&url, create);
        cluster.wait_until_caught_up();
        url
    });
    let settings = format!(
        "[database.binds.shop]\nurl = '{}'\nreplicas = ['{}']\nmax_lag = '10s'\nwhen_behind = 'primary'\n\
         probe_interval = '20ms'",
        url,
        cluster.node(1).at(&url),
    );
    let registry = Registry::from_settings(Settings::from_toml(&settings).expect("TOML"))?;

    // A token can be sent as text, and means the same to another registry.
    let token = add(&registry, 1).await?;
    let sent = serde_json::to_string(&token).expect("a text");
    let received: Token = serde_json::from_str(&sent).expect("a token");
    assert_eq!(received, token);
    assert_eq!(token.to_string().parse::<Token>().as_ref(), Ok(&token));
    assert!(token.to_string().len() < 64, "{token}");
    let both = token.clone().merged(&add(&registry, 2).await?);

    let after = registry.reader().after(&both).max_lag(Duration::from_secs(2));
    let mut session: ReadSession<Shop> = after.session_for::<Order>().await?;
    let count: i64 = orders::table.count().get_result(&mut session).await?;
    assert_eq!((count, session.key()), (2, "shop"));
    drop(session);

    let waits = after.when_behind(WhenBehind::Wait).wait_for_replica(Duration::from_secs(20));
    let session = soon(waits.session::<Shop>()).await?;
    assert_eq!(session.role(), Role::Replica);
    drop(session);

    let reader = registry.reader().after(&registry.token::<Shop>().await?);
    assert_eq!(orders_of(&mut (&reader).into(), 1).await?.len(), 2);
    let mut session = reader.session_for::<Order>().await?;
    assert_eq!(orders_of(&mut (&mut session).into(), 1).await?.len(), 2);

    let seen = registry
        .scope(async {
            add(&registry, 3).await?;
            let order = Order { id: 4, customer: 1 };
            diesel::insert_into(orders::table).values(order).execute(&registry).await?;
            let seen = orders::table.count().get_result::<i64>(&registry.reader()).await?;
            Ok::<_, Error>((seen, Scope::current()?.token().await))
        })
        .await?;
    assert_eq!(seen.0, 4);
    assert!(!seen.1.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_sees_where_reads_went_and_what_is_wrong() {
    let cluster = block_in_place(|| Cluster::postgres(2));
    let url = block_in_place(|| cluster.database("test"));
    let bind = BindSettings::new(url.as_str())
        .probe_interval(Duration::from_millis(20))
        .replica(cluster.node(1).at(&url))
        .replica(cluster.node(2).at(&url));
    let registry = Registry::builder().bind("shop", bind).build().expect("good settings");
    assert!(!registry.status().to_string().contains("replica"), "there were no reads yet");
    block_in_place(|| cluster.node(2).kill9());
    let reader = registry.reader();
    let settled = async {
        loop {
            diesel::select(1.into_sql::<diesel::sql_types::Integer>())
                .get_result::<i32>(&mut reader.session::<Shop>().await.expect("a session"))
                .await
                .expect("an answer");
            let status = registry.status().engines[0].clone();
            let is_out = status.replicas.iter().any(|replica| replica.last_error.is_some());
            if is_out && status.reads.as_ref().is_some_and(|reads| reads.on_replicas > 0) {
                return status;
            }
        }
    };
    let engine = soon(settled).await;
    let states: Vec<String> =
        engine.replicas.iter().map(|replica| replica.state.to_string()).collect();
    assert_eq!(states, ["fit", "down"]);
    assert_eq!(engine.replicas[0].role, Some(Role::Replica));
    assert!(engine.replicas[0].lag.is_some() && engine.replicas[0].lag_bytes.is_some());
    let shown = registry.status().to_string();
    for word in ["reads of `shop`", "replica of", "Connection refused", "no replica"] {
        assert!(shown.contains(word), "no {word:?} in\n{shown}");
    }
    let json = serde_json::to_value(registry.status()).expect("JSON");
    assert_eq!(json["engines"][0]["replicas"][1]["state"], "down");

    let check = registry.check(Duration::from_secs(5)).await;
    assert!(check.is_ok(), "the replicas do not count: {check}");
    let failures: Vec<bool> =
        check.binds[0].replicas.iter().map(|replica| replica.failure.is_some()).collect();
    assert_eq!(failures, [false, true], "{check}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_check_tells_a_server_that_hangs_from_the_others() {
    let cluster = block_in_place(|| Cluster::postgres(2)).proxied().await;
    let url = block_in_place(|| cluster.database("test"));
    let bind = BindSettings::new(url.as_str())
        .replica(cluster.node(1).at(&url))
        .replica(cluster.node(2).at(&url));
    let registry = Registry::builder().bind("shop", bind).build().expect("good settings");
    let checked = || async { soon(registry.check(Duration::from_secs(2))).await.binds[0].clone() };
    let failures = |health: &BindHealth| -> Vec<bool> {
        health.replicas.iter().map(|replica| replica.failure.is_some()).collect()
    };

    cluster.node(2).proxy().lose_everything();
    let health = checked().await;
    assert_eq!(health.failure, None);
    assert_eq!(failures(&health), [false, true], "{health:?}");
    let silent = health.replicas[1].failure.as_deref().unwrap_or_default();
    assert!(silent.contains("no answer within 2s"), "{silent}");
    assert!(health.replicas[0].lag_bytes.is_some(), "{health:?}");

    cluster.node(2).proxy().heal().await;
    cluster.node(0).proxy().lose_everything();
    let health = checked().await;
    assert!(health.failure.is_some());
    assert_eq!(failures(&health), [false, false], "{health:?}");
}

/// In test isolation nothing is committed, so there is nothing that a replica could show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_of_a_test_isolation_sees_the_rows_of_the_test() -> Result<(), Error> {
    let cluster = block_in_place(|| Cluster::postgres(1));
    let url = block_in_place(|| {
        let url = cluster.database("test");
        let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL)";
        cluster.execute_in(&url, create);
        cluster.wait_until_caught_up();
        url
    });
    let bind = BindSettings::new(url.as_str()).replica(cluster.node(1).at(&url));
    let registry = Registry::builder().bind("shop", bind).build()?;
    let isolated = registry.test_isolation().await.expect("an isolated registry");
    let order = Order { id: 1, customer: 1 };
    diesel::insert_into(orders::table).values(order).execute(&isolated).await?;
    let count = |registry: &Registry| {
        let reader = registry.reader();
        async move { orders::table.count().get_result::<i64>(&reader).await }
    };
    assert_eq!(count(&isolated).await?, 1);
    let token = add(&isolated, 2).await?;
    assert!(token.is_empty(), "{token}");
    assert_eq!(count(&isolated).await?, 2);
    assert_eq!(count(&registry).await?, 0);
    Ok(())
}
