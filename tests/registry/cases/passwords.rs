//! No error, status or log event of a registry ever contains a password.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use diesel_async::SimpleAsyncConnection;
use registry_core::settings::BindSettings;
use registry_core::{Backend, Mysql, Postgres, Registry, ResetOnReturn, Settings};

use crate::support::log::captured_log;
use crate::support::{self, causes, eventually};

/// The password, a word that occurs nowhere else.
const SECRET: &str = "abracadabra";

static WAS_SEEN: AtomicBool = AtomicBool::new(false);

/// A word in queries that the instrumentation looks for.
const MARK: &str = "hocuspocus";

static MARKS: AtomicU32 = AtomicU32::new(0);

/// An instrumentation that counts queries with the mark. The connect events of Diesel contain the URL.
struct Spy;

impl Instrumentation for Spy {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        let text = format!("{event:?}");
        if text.contains(SECRET) {
            WAS_SEEN.store(true, Ordering::Relaxed);
        }
        MARKS.fetch_add(text.contains(MARK).into(), Ordering::Relaxed);
    }
}

async fn check<C: Backend>(url: String) {
    let bind = BindSettings::new(url).min_idle(1).idle_timeout(Duration::from_millis(20));
    let bind_shown = format!("{bind:?} {bind:#?}");
    let builder = Registry::builder().bind("default", bind);
    let builder_shown = format!("{builder:?}");
    let registry = builder.build().expect("good settings");
    let acquire = registry.session_by_key::<C>("default");
    let acquire_shown = format!("{acquire:?}");
    let error = acquire.await.expect_err("the password is wrong");
    let verify = registry.verify().await.expect_err("the password is wrong");
    let check = registry.check(Duration::from_secs(10)).await;
    // The maintenance connects too, and logs its failure.
    let failed = "a connection could not be opened";
    let is_warning = |line: &String| line.contains("WARN");
    eventually(|| captured_log().lines_with(failed).iter().any(is_warning)).await;
    let engine = registry.engine("default").expect("it is there");
    let (status, error_of_all) = (registry.status(), registry_core::Error::from(error));
    let json = serde_json::to_string(&status).expect("it serializes");
    let json_of_check = serde_json::to_string(&check).expect("it serializes");
    // What is for everybody has neither users nor hosts nor the server's words.
    assert_eq!(check.public().to_string(), "default  down");
    assert_eq!(
        serde_json::to_string(&check.public()).expect("it serializes"),
        r#"{"status":"down","binds":[{"key":"default","status":"down"}]}"#
    );
    let shown = [
        bind_shown,
        builder_shown,
        acquire_shown,
        format!("{registry:?} {registry:#?}"),
        format!("{engine:?} {engine:#?} {} {:?}", engine.url(), engine.options()),
        format!("{error_of_all:?} {error_of_all:#?} {:?}", causes(&error_of_all)),
        format!("{verify:?} {verify:#?} {verify}"),
        format!("{check:?} {check} {json_of_check}"),
        format!("{status:?} {status} {json}"),
    ];
    for shown in &shown {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    assert!(shown.iter().any(|shown| shown.contains("***")), "{shown:?}");
}

#[tokio::test]
async fn failed_connection_never_shows_its_password() {
    set_default_instrumentation(|| Some(Box::new(Spy))).expect("it can be set");
    let log = captured_log();
    check::<Postgres>(support::postgres().url_with_password(SECRET)).await;
    check::<Mysql>(support::mariadb().url_with_password(SECRET)).await;
    assert!(!log.lines_with("registry").is_empty(), "the log is captured");
    let told = log.lines_with(SECRET);
    assert!(told.is_empty(), "{told:?}");
    assert!(!WAS_SEEN.load(Ordering::Relaxed), "in an event of the instrumentation");
}

#[tokio::test]
async fn default_instrumentation_of_the_program_sees_queries() {
    set_default_instrumentation(|| Some(Box::new(Spy))).expect("it can be set");
    for threshold in [None, Some(Duration::from_secs(60))] {
        let before = MARKS.load(Ordering::Relaxed);
        let bind = BindSettings::new("sqlite::memory:").log_slow_queries(threshold);
        let registry = Registry::builder().bind("default", bind).build().expect("good settings");
        let acquire = registry.session_by_key::<registry_core::Sqlite>("default");
        let mut session = acquire.await.expect("a session");
        let query = format!("SELECT '{MARK}'");
        SimpleAsyncConnection::batch_execute(&mut session, &query).await.expect("an answer");
        // One event for the start of the query and one for its end.
        assert_eq!(MARKS.load(Ordering::Relaxed), before + 2, "{threshold:?}");
    }
}

/// A secret in a statement, different from the password above.
const SPELL: &str = "simsalabim";

#[tokio::test]
async fn statements_of_on_connect_are_not_logged() {
    let log = captured_log();
    let bind = BindSettings::new(support::postgres().database("spell"))
        .max_connections(1)
        .reset_on_return(ResetOnReturn::Full)
        .log_slow_queries(Duration::ZERO)
        .on_connect([format!("SET registry.spell = '{SPELL}'")]);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    for round in 0..3 {
        let mut session =
            registry.session_by_key::<Postgres>("default").await.expect("a session, made as new");
        let query =
            format!("SELECT 'mutabor {round}' WHERE current_setting('registry.spell') <> ''");
        SimpleAsyncConnection::batch_execute(&mut session, &query).await.expect("it is set");
    }
    // The driver logs every statement of a batch itself, with the target `tokio_postgres`. Those lines are left out.
    let lines_with = |text: &str| {
        let mut lines = log.lines_with(text);
        lines.retain(|line| !line.contains("tokio_postgres"));
        lines
    };
    let mut slow = lines_with("WHERE current_setting(");
    slow.retain(|line| line.contains("slow query"));
    assert_eq!(slow.len(), 3, "all that is slow is logged: {slow:?}");
    let told = lines_with(SPELL);
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn errors_in_settings_show_no_password() {
    let texts = [
        "url = 'postgres://app:abracadabra@localhost/app?sslmode=require'",
        "url = 'postgres://app:abracadabra@localhost:notaport/app'",
        "url = 'postgres://app:abra@cadabra@abracadabra@localhost/app'",
        "url = 'oracle://app:abracadabra@localhost/app'",
        "url = 'mysql://app:abracadabra@localhost/app?nonsense=1'",
        "url = 'mysql://app@localhost/app?password=abracadabra'",
        "url = 'postgres://app@localhost/app?password=abracadabra&nonsense=1'",
        "url = 'abracadabra'\npassword = 'abracadabra'",
        "url = 'postgres://app:abracadabra@localhost/app'\npassword = 'abracadabra'",
        "url = 'sqlite::memory:'\npassword = 'abracadabra'",
        "password = 'abracadabra'",
        "url_file = 'postgres://app:abracadabra@localhost/app'",
        "url = 'postgres://localhost/app'\npassword_file = 'abracadabra'",
        "url = 'postgres://localhost/app&user=app&password=abracadabra'",
        "url = 'postgres://localhost/app;password=abracadabra'",
        "url = 'mysql://localhost/app?pool_min=1;password=abracadabra'",
        "url = 'sqlite://app.db;key=abracadabra'",
        "url = 'sqlite::memory:'\noptions.on_connect = [\"PRAGMA key = 'abracadabra'\"]",
        "url = 'postgres://localhost/app'\nmigrate_url = 'postgres://app:abracadabra@localhost/app'",
        "url = 'postgres://localhost/app'\nmigrate_url = 'mysql://app:abracadabra@localhost/app'",
        "[binds.a]\nurl = 'postgres://app:abracadabra@localhost/app'\nmax_connections = 'abracadabra'",
    ];
    for text in texts {
        let settings = Settings::from_toml(text).expect("TOML");
        let shown = format!("{settings:?} {settings:#?}");
        assert!(!shown.contains(SECRET), "{text}: {shown}");
        let built = Registry::from_settings(settings);
        let shown = match &built {
            Ok(registry) => format!("{registry:?} {}", registry.status()),
            Err(error) => format!("{error:?} {error}"),
        };
        assert!(!shown.contains(SECRET), "{text}: {shown}");
    }
    // The error for a text that is not TOML must not contain it either.
    let error = Settings::from_toml("password = abracadabra").expect_err("it is not TOML");
    assert!(!format!("{error:?} {error}").contains(SECRET));
}
