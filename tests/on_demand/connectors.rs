//! The program's own way to connect.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::Text;
use diesel_async::{
    AsyncConnection, AsyncMysqlConnection, AsyncPgConnection, SimpleAsyncConnection,
};
use diesel_migrations::FileBasedMigrations;
use registry_core::error::DriverError;
use registry_core::{
    AcquireError, BindSettings, ConnectError, Credentials, DatabaseUrl, Pooler, Registry,
    RegistryBuilder, RunQueryDsl, Session, binds,
};
use tokio_postgres::NoTls;

use crate::support::{causes, fresh_folder, mariadb, postgres, run_sql};

binds! {
    Shop: Postgres = "shop";
    Crm: Postgres = "crm";
    Reports: Mysql = "reports";
    Files: Sqlite = "files";
}

/// One migration, from a file.
fn migrations() -> FileBasedMigrations {
    let folder = fresh_folder().join("migrations");
    let first = folder.join("1_notes");
    std::fs::create_dir_all(&first).expect("a folder");
    std::fs::write(first.join("up.sql"), "CREATE TABLE notes (id INTEGER)").expect("a file");
    std::fs::write(first.join("down.sql"), "DROP TABLE notes").expect("a file");
    FileBasedMigrations::from_path(&folder).expect("one migration")
}

/// Connects by tokio-postgres, as a program with another TLS library does.
async fn by_tokio_postgres(url: &DatabaseUrl) -> Result<AsyncPgConnection, DriverError> {
    let (client, connection) = tokio_postgres::connect(&url.expose(), NoTls).await?;
    Ok(AsyncPgConnection::try_from_client_and_connection(client, connection).await?)
}

/// The URLs that the closure was called with, without passwords.
type Called = Arc<Mutex<Vec<String>>>;

fn counted(builder: RegistryBuilder, called: &Called) -> RegistryBuilder {
    let called = Arc::clone(called);
    builder.connect_with::<Shop>(move |url| {
        called.lock().expect("no panic holds it").push(url.to_string());
        async move { by_tokio_postgres(&url).await }
    })
}

fn count(called: &Called) -> usize {
    called.lock().expect("no panic holds it").len()
}

async fn setting(session: &mut Session<Shop>, name: &str) -> String {
    let value = sql::<Text>(&format!("current_setting('{name}')"));
    diesel::select(value).get_result(session).await.expect("a setting")
}

#[tokio::test]
async fn connections_are_opened_by_the_program_and_set_up_by_the_engine() {
    let called = Called::default();
    let bind = BindSettings::new(postgres().database("test"))
        .max_connections(1)
        .read_only(true)
        .statement_timeout(Duration::from_secs(77))
        .on_connect(["SET work_mem = '7MB'"]);
    let registry = counted(Registry::builder().bind("shop", bind), &called).build();
    let registry = registry.expect("good settings");
    assert!(registry.check(Duration::from_secs(10)).await.is_ok());
    assert_eq!(count(&called), 1, "one connection for all of it");
    for round in 1..=2 {
        let mut session = registry.session::<Shop>().await.expect("a session");
        assert_eq!(setting(&mut session, "default_transaction_read_only").await, "on", "{round}");
        assert_eq!(setting(&mut session, "statement_timeout").await, "77s", "{round}");
        assert_eq!(setting(&mut session, "work_mem").await, "7MB", "{round}");
        assert_eq!(setting(&mut session, "TimeZone").await, "UTC", "{round}");
        // The stream is not read, so a connection that is changed is replaced.
        session
            .batch_execute("SET statement_timeout = 0; SET work_mem = '9MB'")
            .await
            .expect("set");
    }
    crate::support::is_at_rest(&registry).await;
    assert_eq!(count(&called), 2);
}

#[tokio::test]
async fn full_reset_sets_the_options_again() {
    let called = Called::default();
    let bind = BindSettings::new(postgres().database("test"))
        .max_connections(1)
        .reset_on_return(registry_core::ResetOnReturn::Full)
        .statement_timeout(Duration::from_secs(77))
        .on_connect(["SET work_mem = '7MB'"]);
    let registry = counted(Registry::builder().bind("shop", bind), &called).build();
    let registry = registry.expect("good settings");
    for round in 1..=3 {
        let mut session = registry.session::<Shop>().await.expect("a session");
        assert_eq!(setting(&mut session, "statement_timeout").await, "77s", "{round}");
        assert_eq!(setting(&mut session, "work_mem").await, "7MB", "{round}");
        drop(session);
        crate::support::is_at_rest(&registry).await;
    }
    assert_eq!(count(&called), 1, "the same connection");
}

#[tokio::test]
async fn transactions_are_told_without_the_stream() {
    let called = Called::default();
    let bind = BindSettings::new(postgres().database("test")).max_connections(1);
    let registry = counted(Registry::builder().bind("shop", bind), &called).build();
    let registry = registry.expect("good settings");
    run_sql::<Shop>(&registry, "CREATE TABLE notes (id INTEGER PRIMARY KEY)").await;
    let mut session = registry.session::<Shop>().await.expect("a session");
    session.batch_execute("BEGIN; INSERT INTO notes VALUES (1)").await.expect("a row");
    drop(session);
    let mut session = registry.session::<Shop>().await.expect("a session");
    session.batch_execute("INSERT INTO notes VALUES (1)").await.expect("the first was rolled back");
    let ended = session
        .transaction(async |session| session.batch_execute("COMMIT").await)
        .await
        .expect_err("a statement has ended the transaction");
    assert!(ended.to_string().contains("has ended the transaction"), "{ended}");
    let failed = session.transaction(async |session| {
        let _ = session.batch_execute("INSERT INTO notes VALUES (1)").await;
        diesel::QueryResult::Ok(())
    });
    failed.await.expect_err("PostgreSQL would answer the commit with a rollback");
}

/// Every write would be lost in it, with an `Ok`.
#[tokio::test]
async fn connection_in_a_transaction_of_diesel_is_refused() {
    let bind = BindSettings::new(postgres().database("test")).max_connections(1);
    let registry = Registry::builder()
        .bind("shop", bind)
        .connect_with::<Shop>(|url| async move {
            let mut connection = by_tokio_postgres(&url).await?;
            connection.begin_test_transaction().await?;
            Ok::<_, DriverError>(connection)
        })
        .build()
        .expect("good settings");
    let error = registry.session::<Shop>().await.expect_err("nobody would commit it");
    assert!(causes(&error).join(": ").contains("is in a transaction"), "{error:?}");
}

#[tokio::test]
async fn connection_in_a_transaction_begun_by_sql_is_refused() {
    let bind = BindSettings::new(postgres().database("test")).max_connections(1);
    let registry = Registry::builder()
        .bind("shop", bind)
        .connect_with::<Shop>(|url| async move {
            let mut connection = by_tokio_postgres(&url).await?;
            connection.batch_execute("BEGIN").await?;
            Ok::<_, DriverError>(connection)
        })
        .build()
        .expect("good settings");
    let error = registry.session::<Shop>().await.expect_err("nobody would commit it");
    assert!(causes(&error).join(": ").contains("left it open"), "{error:?}");
}

#[tokio::test]
async fn migrations_and_tenants_are_reached_in_the_same_way() {
    let called = Called::default();
    let (owner, url) = (postgres().database("test"), postgres().tenants(["acme"]));
    let bind = BindSettings::new(&*owner).migrate_url(format!("{owner}?application_name=migrator"));
    let builder = counted(Registry::builder().bind("shop", bind), &called);
    let for_crm = Called::default();
    let seen = Arc::clone(&for_crm);
    let registry = builder
        .bind("crm", url)
        .connect_with::<Crm>(move |url| {
            seen.lock().expect("no panic holds it").push(url.to_string());
            async move { by_tokio_postgres(&url).await }
        })
        .build()
        .expect("good settings");
    registry.migrate::<Shop>(migrations()).await.expect("migrated");
    let migrated = called.lock().expect("no panic holds it").clone();
    assert!(migrated.iter().all(|url| url.ends_with("?application_name=migrator")), "{migrated:?}");
    assert_eq!(migrated.len(), 1);

    let acme = registry.tenant("acme").expect("a good name");
    drop(acme.session::<Crm>().await.expect("a session"));
    registry.create_tenant::<Crm>("globex", migrations()).await.expect("a new tenant");
    let globex = registry.tenant("globex").expect("a good name");
    let mut session = globex.session::<Crm>().await.expect("a session");
    session.batch_execute("SELECT * FROM notes").await.expect("it was migrated");
    drop(session);
    registry.drop_tenant::<Crm>("globex", "globex").await.expect("dropped");
    let seen = for_crm.lock().expect("no panic holds it").clone();
    assert!(seen[0].contains("acme"), "{seen:?}");
    assert!(seen.iter().any(|url| url.contains("globex")), "{seen:?}");
    assert!(!format!("{seen:?}").contains("sesame"), "{seen:?}");
}

#[tokio::test]
async fn taken_connection_of_a_tenant_stays_in_its_schema() {
    let url = postgres().database("test");
    let schemas = "CREATE SCHEMA shop_acme; CREATE TABLE shop_acme.notes (id INTEGER); CREATE SCHEMA shop_globex";
    let mut session = Session::<Shop>::connect(&*url).await.expect("a session");
    session.batch_execute(schemas).await.expect("two schemas");
    let bind = BindSettings::new(url).tenant_schema("shop_{tenant}").max_connections(1);
    let called = Called::default();
    let registry = counted(Registry::builder().bind("shop", bind), &called).build();
    let registry = registry.expect("good settings");
    let tenant = |name| registry.tenant(name).expect("a good name");
    let session = tenant("acme").session::<Shop>().await.expect("a session");
    let mut taken = session.into_inner().expect("it can be taken");
    let mut globex = tenant("globex").session::<Shop>().await.expect("a session in its place");
    globex.batch_execute("SELECT * FROM notes").await.expect_err("it is another schema");
    taken.batch_execute("SELECT * FROM notes").await.expect("the tenant's own schema");
    assert_eq!(count(&called), 2);
}

#[tokio::test]
async fn isolated_registry_connects_in_the_same_way() {
    let called = Called::default();
    let builder = Registry::builder().bind("shop", postgres().database("test"));
    let registry = counted(builder, &called).build().expect("good settings");
    run_sql::<Shop>(&registry, "CREATE TABLE notes (id INTEGER)").await;
    let before = count(&called);
    let isolated = registry.test_isolation().await.expect("an isolated registry");
    run_sql::<Shop>(&isolated, "INSERT INTO notes VALUES (1)").await;
    assert_eq!(count(&called), before + 1);
}

#[tokio::test]
async fn closure_gets_the_url_with_the_credentials() {
    let called = Called::default();
    let seen = Arc::clone(&called);
    let registry = Registry::builder()
        .bind("shop", "postgres://app@127.0.0.1:1/app")
        .credentials("shop", |_: &DatabaseUrl| async {
            Ok::<_, io::Error>(Credentials::password("a vault's").user("other"))
        })
        .connect_with::<Shop>(move |url| {
            seen.lock().expect("no panic holds it").push(url.expose());
            async { Err::<AsyncPgConnection, _>("it is enough") }
        })
        .build()
        .expect("good settings");
    let error = registry.session::<Shop>().await.expect_err("the closure fails");
    assert!(!format!("{error:?}").contains("vault"), "{error:?}");
    let seen = called.lock().expect("no panic holds it").clone();
    assert_eq!(seen, ["postgres://other:a%20vault%27s@127.0.0.1:1/app"]);
}

/// What the closure does at each call, in turn.
#[derive(Clone, Copy)]
enum Behaviour {
    PanicAtOnce,
    Panic,
    Hang,
    Fail,
    RefusedByTheSystem,
    WrongPassword,
    Classified,
    Connect,
}

#[tokio::test]
async fn failures_of_the_closure_reach_the_caller_and_cost_no_capacity() {
    use Behaviour::*;
    const ALL: [Behaviour; 8] =
        [PanicAtOnce, Panic, Hang, Fail, RefusedByTheSystem, WrongPassword, Classified, Connect];

    let url = postgres().database("test");
    let bind = BindSettings::new(&*url)
        .max_connections(1)
        .connect_timeout(Duration::from_secs(2))
        .acquire_timeout(Duration::from_secs(20));
    let calls = Arc::new(AtomicU32::new(0));
    let registry = Registry::builder()
        .bind("shop", bind)
        .connect_with::<Shop>(move |url| {
            let behaviour = ALL[calls.fetch_add(1, Ordering::SeqCst) as usize % ALL.len()];
            if let PanicAtOnce = behaviour {
                panic!("at once");
            }
            async move {
                match behaviour {
                    PanicAtOnce | Panic => panic!("later"),
                    Hang => std::future::pending().await,
                    Fail => Err("the proxy is closed".into()),
                    RefusedByTheSystem => {
                        Err(io::Error::from(io::ErrorKind::ConnectionRefused).into())
                    }
                    WrongPassword => {
                        let wrong = url.expose().replace("sesame", "zauber");
                        Err(tokio_postgres::connect(&wrong, NoTls)
                            .await
                            .map(drop)
                            .unwrap_err()
                            .into())
                    }
                    Classified => Err(ConnectError::TooManyConnections("full".into()).into()),
                    Connect => by_tokio_postgres(&url).await,
                }
            }
        })
        .build()
        .expect("good settings");
    let expected = [
        ("the connection could not be opened: the code that was called panicked: at once", false),
        ("the connection could not be opened: the code that was called panicked: later", false),
        ("no connection was ready within 2s", true),
        ("the program's own way to connect has failed: the proxy is closed", false),
        ("the server cannot be reached: connection refused", true),
        ("the server rejects the user or the password: ", false),
        ("the server takes no more connections: full", true),
    ];
    for (text, is_transient) in expected {
        let error = registry.session::<Shop>().await.expect_err(text);
        let chain = causes(&error)[1..].join(": ");
        assert!(chain.starts_with(text), "{chain}");
        assert!(matches!(error, AcquireError::Connect { .. }), "{error:?}");
        assert_eq!(error.is_transient(), is_transient, "{error:?}");
        assert!(!format!("{error:?}").contains("zauber"), "{error:?}");
        assert_eq!(registry.engine("shop").expect("it is there").status().in_use, 0);
    }
    let mut session = registry.session::<Shop>().await.expect("a session");
    session.batch_execute("SELECT 1").await.expect("an answer");
}

#[tokio::test]
async fn caller_that_gives_up_drops_the_future_of_the_closure() {
    struct Noticed(Arc<AtomicU32>);

    impl Drop for Noticed {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let dropped = Arc::new(AtomicU32::new(0));
    let noticed = Arc::clone(&dropped);
    let bind = BindSettings::new("postgres://app@127.0.0.1:1/app").max_connections(1);
    let registry = Registry::builder()
        .bind("shop", bind)
        .connect_with::<Shop>(move |_| {
            let noticed = Noticed(Arc::clone(&noticed));
            async move {
                let _noticed = noticed;
                std::future::pending::<Result<AsyncPgConnection, io::Error>>().await
            }
        })
        .build()
        .expect("good settings");
    for round in 1..=3 {
        let mut acquiring = Box::pin(registry.session::<Shop>());
        assert!(futures_util::poll!(&mut acquiring).is_pending());
        drop(acquiring);
        assert_eq!(AtomicU32::load(&dropped, Ordering::SeqCst), round);
        assert_eq!(registry.engine("shop").expect("it is there").status().in_use, 0);
    }
}

#[tokio::test]
async fn connections_to_mysql_are_opened_by_the_program_too() {
    let bind = BindSettings::new(mariadb().database("test"))
        .max_connections(1)
        .read_only(true)
        .statement_timeout(Duration::from_secs(77))
        .on_connect(["SET @mine = 7"]);
    let registry = Registry::builder()
        .bind("reports", bind)
        .connect_with::<Reports>(|url| async move {
            let opts = mysql_async::Opts::from_url(&url.expose())?;
            let conn = mysql_async::Conn::new(opts).await?;
            Ok::<_, DriverError>(AsyncMysqlConnection::try_from(conn).await?)
        })
        .build()
        .expect("good settings");
    assert!(registry.check(Duration::from_secs(10)).await.is_ok());
    let mut session = registry.session::<Reports>().await.expect("a session");
    let shown =
        sql::<Text>("CONCAT_WS(' ', @@tx_read_only, @@max_statement_time, @mine, @@time_zone)");
    let shown: String = diesel::select(shown).get_result(&mut session).await.expect("settings");
    assert_eq!(shown, "ON 77.000000 7 +00:00");
    session.batch_execute("BEGIN").await.expect("a transaction");
    drop(session);
    let mut session = registry.session::<Reports>().await.expect("a session");
    session
        .batch_execute("START TRANSACTION READ WRITE; ROLLBACK")
        .await
        .expect("no transaction is open");
}

#[test]
fn closures_that_cannot_be_used_are_refused_at_build() {
    fn pg(builder: RegistryBuilder) -> RegistryBuilder {
        builder.connect_with::<Shop>(|url| async move { by_tokio_postgres(&url).await })
    }
    let problem = |builder: RegistryBuilder| builder.build().unwrap_err().to_string();
    let at = |url: &str| Registry::builder().bind("shop", url);

    let unknown = Registry::builder().bind("shopp", "postgres://app@h/app");
    assert_eq!(problem(pg(unknown)), "connect_with(\"shop\"): there is no such bind");
    assert_eq!(
        problem(pg(pg(at("postgres://app@h/app")))),
        "connect_with(\"shop\"): given twice: a bind has one way to connect"
    );
    assert_eq!(
        problem(pg(at("mysql://app@h/app"))),
        "connect_with(\"shop\"): it opens connections to PostgreSQL, and the URL of this bind is for MySQL"
    );
    let pooled = BindSettings::new("postgres://app@h/app").pooler(Pooler::Transaction);
    assert_eq!(
        problem(pg(Registry::builder().bind("shop", pooled))),
        "connect_with(\"shop\"): a bind with `pooler = \"transaction\"` cannot have it: the engine would have to \
         rewrite the messages on a stream that the program owns"
    );
    let sqlite = Registry::builder().bind("files", "sqlite::memory:").connect_with::<Files>(
        |url| async move { registry_core::Sqlite::establish(&url.expose()).await },
    );
    assert_eq!(
        problem(sqlite),
        "connect_with(\"files\"): SQLite has no server to connect to: the engine opens its file; what each connection \
         needs is set by `on_connect`"
    );
}
