//! Cases of PostgreSQL and MariaDB, which SQLite does not have: a server that closes connections.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{Backend, ByKey, Mysql, Postgres, Registry, Session};

use crate::support;

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

const POSTGRES: &str = "SELECT CAST(pg_backend_pid() AS BIGINT) AS id";
const MYSQL: &str = "SELECT CAST(CONNECTION_ID() AS SIGNED) AS id";

/// The server's id of a connection.
trait WhoAmI: Backend {
    fn who_am_i(session: &mut Session<ByKey<Self>>) -> impl Future<Output = QueryResult<i64>>;
    fn end(id: i64) -> String;
    fn url() -> String;
}

macro_rules! who_am_i {
    ($backend:ident, $query:expr, $end:literal, $server:ident) => {
        impl WhoAmI for $backend {
            async fn who_am_i(session: &mut Session<ByKey<Self>>) -> QueryResult<i64> {
                sql_query($query).get_result::<Id>(&mut **session).await.map(|row| row.id)
            }
            fn end(id: i64) -> String {
                $end.replace("ID", &id.to_string())
            }
            fn url() -> String {
                support::$server().database("ended")
            }
        }
    };
}
who_am_i!(Postgres, POSTGRES, "SELECT pg_terminate_backend(ID, 5000)", postgres);
who_am_i!(Mysql, MYSQL, "KILL ID", mariadb);

fn registry(bind: BindSettings) -> Registry {
    Registry::builder().bind("default", bind).build().expect("good settings")
}

async fn session<C: WhoAmI>(registry: &Registry) -> Session<ByKey<C>> {
    registry.session_by_key::<C>("default").await.expect("a session")
}

/// Terminates the only connection of a registry, which is idle, and waits until it has ended.
async fn ended<C: WhoAmI>(options: impl Fn(BindSettings) -> BindSettings) -> (Registry, i64) {
    let url = C::url();
    let registry = registry(options(BindSettings::new(url.as_str()).max_connections(1)));
    let id = C::who_am_i(&mut session::<C>(&registry).await).await.expect("an answer");
    let other = self::registry(BindSettings::new(url));
    let mut other = session::<C>(&other).await;
    other.batch_execute(&C::end(id)).await.expect("it may be ended");
    // Waits until this process has received the close.
    tokio::time::sleep(Duration::from_millis(100)).await;
    (registry, id)
}

#[tokio::test]
async fn connection_closed_by_the_server_is_detected_and_replaced() {
    async fn check<C: WhoAmI>() {
        let each_time = |bind: BindSettings| bind.check_idle_after(Duration::ZERO);
        let (registry, id) = ended::<C>(each_time).await;
        let mut session = session::<C>(&registry).await;
        assert_ne!(C::who_am_i(&mut session).await.expect("another connection"), id);
    }
    check::<Postgres>().await;
    check::<Mysql>().await;
}

#[tokio::test]
async fn recently_used_connection_is_lent_without_a_check() {
    let never = |bind: BindSettings| bind.check_idle_after(Duration::from_secs(60));
    let (registry, _) = ended::<Mysql>(never).await;
    let mut first = session::<Mysql>(&registry).await;
    Mysql::who_am_i(&mut first).await.expect_err("nobody has asked whether it works");
    drop(first);
    // The connection is now known to be dead, so the engine must not check it again and again.
    let mut second = session::<Mysql>(&registry).await;
    Mysql::who_am_i(&mut second).await.expect("another connection");
}

#[tokio::test]
async fn connection_known_to_be_closed_is_not_lent() {
    let never = |bind: BindSettings| bind.check_idle_after(Duration::from_secs(60));
    let (registry, id) = ended::<Postgres>(never).await;
    let mut session = session::<Postgres>(&registry).await;
    assert_ne!(Postgres::who_am_i(&mut session).await.expect("another connection"), id);
}

#[tokio::test]
async fn health_check_always_asks_the_server() {
    let never = |bind: BindSettings| bind.check_idle_after(Duration::from_secs(60));
    let (registry, _) = ended::<Mysql>(never).await;
    let limit = Duration::from_secs(10);
    let report = registry.check(limit).await;
    let failure = report.binds[0].failure.as_deref().expect("the connection was ended");
    assert!(failure.starts_with("bind `default`: the connection does not answer: "), "{failure}");
    assert!(registry.check(limit).await.is_ok(), "by another connection");
}

/// Forwards a port of `::1` to a server that listens on `127.0.0.1`, and returns the port.
async fn listen_on_ipv6(server: u16) -> u16 {
    let listener = tokio::net::TcpListener::bind("[::1]:0");
    let listener = listener.await.expect("this test needs the loopback address of IPv6, ::1");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = tokio::net::TcpStream::connect(("127.0.0.1", server)).await;
                let mut server = server.expect("the server is there");
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn ipv6_address_in_brackets_is_accepted() {
    async fn check<C: WhoAmI>(server: &support::Server) {
        let url = C::url();
        let port = listen_on_ipv6(server.port()).await;
        let on_ipv4 = format!("127.0.0.1:{}", server.port());
        let on_ipv6 = url.replace(&on_ipv4, &format!("[::1]:{port}"));
        assert_ne!(on_ipv6, url);
        let registry = registry(BindSettings::new(on_ipv6));
        C::who_am_i(&mut session::<C>(&registry).await).await.expect("an answer");
    }
    check::<Postgres>(support::postgres()).await;
    check::<Mysql>(support::mariadb()).await;
}
