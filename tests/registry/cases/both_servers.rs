//! Cases of PostgreSQL and MariaDB, which SQLite does not have: a server that can refuse connections.

use std::time::{Duration, Instant};

use diesel::sql_query;
use diesel_async::RunQueryDsl;
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, Backend, ConnectError, Mysql, Postgres, Registry};

use crate::support::{self, causes};

async fn failure<C: Backend>(bind: BindSettings) -> (AcquireError, Duration) {
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let started = Instant::now();
    let error = registry.session_by_key::<C>("default").await.expect_err("it must fail");
    let status = &registry.status().engines[0];
    assert_eq!((status.in_use, status.idle, status.direct), (0, 0, 1), "nothing is left behind");
    (error, started.elapsed())
}

fn connect_error(error: &AcquireError) -> &ConnectError {
    match error {
        AcquireError::Connect { source, .. } => source,
        other => panic!("another variant: {other:?}"),
    }
}

/// A port without a listener.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

#[tokio::test]
async fn refused_connection_fails_immediately_with_the_systems_error() {
    async fn check<C: Backend>(scheme: &str) {
        let port = free_port();
        let url = format!("{scheme}://app:hunter2@127.0.0.1:{port}/app");
        let (error, took) = failure::<C>(url.into()).await;
        assert!(took < Duration::from_secs(5), "long before acquire_timeout: {took:?}");
        assert!(error.is_transient() && !error.is_timeout());
        assert!(matches!(connect_error(&error), ConnectError::Unreachable(_)), "{error:?}");
        let causes = causes(&error);
        let url = format!("{scheme}://app:***@127.0.0.1:{port}/app");
        assert_eq!(causes[0], format!("bind `default`: could not connect to {url}"));
        assert_eq!(causes[1], "the server cannot be reached");
        assert!(causes[2].contains("Connection refused"), "{causes:?}");
        assert!(!format!("{error:?} {causes:?}").contains("hunter2"));
    }
    check::<Postgres>("postgres").await;
    check::<Mysql>("mysql").await;
}

#[tokio::test]
async fn wrong_password_differs_from_a_server_that_is_down() {
    async fn check<C: Backend>(url: String, words: &str) {
        let (error, _) = failure::<C>(url.into()).await;
        assert!(matches!(connect_error(&error), ConnectError::Authentication(_)), "{error:?}");
        assert!(!error.is_transient());
        let causes = causes(&error);
        assert_eq!(causes[1], "the server rejects the user or the password");
        assert!(causes[2].contains(words), "{causes:?}");
        assert!(!format!("{error:?} {causes:?}").contains("hunter2"));
    }
    check::<Postgres>(
        support::postgres().url_with_password("hunter2"),
        "password authentication failed",
    )
    .await;
    check::<Mysql>(support::mariadb().url_with_password("hunter2"), "Access denied").await;
}

#[tokio::test]
async fn missing_database_is_reported() {
    async fn check<C: Backend>(url: String, words: &str) {
        let (rest, _) = url.rsplit_once('/').expect("a path");
        let (error, _) = failure::<C>(format!("{rest}/nowhere").into()).await;
        assert!(matches!(connect_error(&error), ConnectError::UnknownDatabase(_)), "{error:?}");
        let causes = causes(&error);
        assert_eq!(causes[1], "the database does not exist");
        assert!(causes[2].contains(words), "{causes:?}");
    }
    check::<Postgres>(support::postgres().database("gone"), "\"nowhere\" does not exist").await;
    check::<Mysql>(support::mariadb().database("gone"), "Unknown database 'nowhere'").await;
}

#[tokio::test]
async fn server_that_never_answers_costs_connect_timeout() {
    async fn check<C: Backend>(scheme: &str) {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = silent.local_addr().expect("its address").port();
        let bind = BindSettings::new(format!("{scheme}://app@127.0.0.1:{port}/app"))
            .connect_timeout(Duration::from_millis(100));
        let (error, took) = failure::<C>(bind).await;
        assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(5), "{took:?}");
        assert!(error.is_timeout() && error.is_transient());
        assert_eq!(causes(&error)[1], "no connection was ready within 100ms");
    }
    check::<Postgres>("postgres").await;
    check::<Mysql>("mysql").await;
}

#[tokio::test]
async fn within_limits_the_wait_for_a_new_connection() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let registry = Registry::builder()
        .bind("default", format!("postgres://app@127.0.0.1:{port}/app"))
        .build()
        .expect("good settings");
    let acquire = registry.session_by_key::<Postgres>("default");
    let started = Instant::now();
    let error = acquire.within(Duration::from_millis(50)).await.expect_err("nobody answers");
    assert!(error.is_timeout());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let status = &registry.status().engines[0];
    assert_eq!(status.timed_out, 1);
    let told = &status.last_error.as_ref().expect("it is remembered").message;
    assert!(told.starts_with("no connection was ready within"), "{told}");
}

#[tokio::test]
async fn timed_out_acquire_has_the_last_connect_error_as_its_source() {
    let port = free_port();
    let bind = BindSettings::new(format!("postgres://app@127.0.0.1:{port}/app")).max_connections(1);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    registry.session_by_key::<Postgres>("default").await.expect_err("nobody listens");
    // From now on the port accepts connections and never answers, so the caller that connects keeps the only permit.
    let _silent = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    let mut connecting = registry.session_by_key::<Postgres>("default");
    assert!(futures_util::poll!(&mut connecting).is_pending());
    let waiting = registry.session_by_key::<Postgres>("default");
    let error = waiting.within(Duration::from_millis(50)).await.expect_err("none is free");
    let causes = causes(&error);
    assert!(
        causes[0].starts_with("bind `default`: timed out after 50ms waiting for a connection: "),
        "{causes:?}"
    );
    assert_eq!(causes[1], "the server cannot be reached");
    assert!(causes[2].contains("Connection refused"), "{causes:?}");
}

#[tokio::test]
async fn statement_timeout_ends_a_long_statement() {
    async fn check<C: Backend>(url: String, sleep: &str)
    where
        diesel::query_builder::SqlQuery: diesel_async::methods::ExecuteDsl<C>,
    {
        let bind = BindSettings::new(url).statement_timeout(Duration::from_millis(100));
        let registry = Registry::builder().bind("default", bind).build().expect("good settings");
        let mut session = registry.session_by_key::<C>("default").await.expect("a session");
        let started = Instant::now();
        // MariaDB and MySQL differ in whether an interrupted sleep is an error.
        let _ = sql_query(sleep).execute(&mut *session).await;
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    check::<Postgres>(support::postgres().database("slow"), "SELECT pg_sleep(20)").await;
    check::<Mysql>(support::mariadb().database("slow"), "SELECT SLEEP(20)").await;
}

#[tokio::test]
async fn passwords_with_special_characters_and_unix_sockets_work() {
    let server = support::postgres();
    let url = server.database("odd");
    let registry = Registry::builder().bind("default", url.as_str()).build().expect("settings");
    let mut session = registry.session_by_key::<Postgres>("default").await.expect("a session");
    let role = "DROP ROLE IF EXISTS odd_one; CREATE ROLE odd_one LOGIN PASSWORD 'p@ss:w/rd%?#'";
    diesel_async::SimpleAsyncConnection::batch_execute(&mut session, role).await.expect("a role");
    let name = url.rsplit('/').next().expect("a database");

    let odd =
        format!("postgres://odd_one:p%40ss%3Aw%2Frd%25%3F%23@127.0.0.1:{}/{name}", server.port());
    let registry = Registry::builder().bind("default", odd).build().expect("good settings");
    registry.session_by_key::<Postgres>("default").await.expect("the password is understood");
    assert!(!format!("{:?}", registry.status()).contains("p%40ss"));

    let bind = BindSettings::new(format!("postgres://odd_one@127.0.0.1:{}/{name}", server.port()))
        .password("p@ss:w/rd%?#");
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    registry.session_by_key::<Postgres>("default").await.expect("the password is understood");
}
