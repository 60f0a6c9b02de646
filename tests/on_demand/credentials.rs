//! Sources of credentials, which are asked at each new connection.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use registry_core::{
    AcquireError, BindSettings, ConnectError, Credentials, DatabaseUrl, Registry, bind,
};

use crate::support::{causes, eventually, postgres};

#[bind(backend = Postgres)]
struct Model;

#[bind(db = "crm", backend = Postgres)]
struct Invoice;

/// A role of the server, whose password the test changes.
struct Role {
    name: String,
    password: Arc<Mutex<String>>,
}

impl Role {
    fn new() -> Self {
        static ROLES: AtomicU32 = AtomicU32::new(0);
        let name = format!("role_{}_{}", std::process::id(), ROLES.fetch_add(1, Ordering::Relaxed));
        postgres().execute(&format!("CREATE ROLE {name} LOGIN"));
        let role = Self { name, password: Arc::default() };
        role.change_password("first");
        role
    }

    fn change_password(&self, password: &str) {
        postgres().execute(&format!("ALTER ROLE {} PASSWORD '{password}'", self.name));
        *self.password.lock().expect("no panic holds it") = password.to_owned();
    }

    /// The URL of a database as this role, without a password.
    fn in_url(&self, url: &str) -> String {
        let (_, address) = url.split_once('@').expect("a user");
        format!("postgres://{}@{address}", self.name)
    }
}

fn registry(role: &Role, asked: &Arc<AtomicU32>) -> Registry {
    let source = |password: &Arc<Mutex<String>>| {
        let (password, asked) = (Arc::clone(password), Arc::clone(asked));
        move |url: &DatabaseUrl| {
            assert!(url.to_string().starts_with("postgres://role_"), "it is told the URL");
            asked.fetch_add(1, Ordering::SeqCst);
            let password = password.lock().expect("no panic holds it").clone();
            async move {
                match password.as_str() {
                    "" => Err("the vault is sealed"),
                    password => Ok(Credentials::password(password)),
                }
            }
        }
    };
    Registry::builder()
        .bind("default", BindSettings::new(role.in_url(&postgres().database("test"))))
        .bind("crm", role.in_url(&postgres().tenants(["acme"])))
        .credentials("default", source(&role.password))
        .credentials("crm", source(&role.password))
        .build()
        .expect("good settings")
}

#[tokio::test]
async fn each_new_connection_asks_for_a_password_and_open_ones_stay() {
    let (role, asked) = (Role::new(), Arc::new(AtomicU32::new(0)));
    let registry = registry(&role, &asked);
    let first = registry.session_for::<Model>().await.expect("a session");
    role.change_password("second");
    let second = registry.session_for::<Model>().await.expect("a session with the new password");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    drop((first, second));
    let again = registry.session_for::<Model>().await.expect("a session");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "no connection, no question");
    drop(again);

    let acme = registry.tenant("acme").expect("a good name");
    drop(acme.session_for::<Invoice>().await.expect("a session"));
    assert_eq!(asked.load(Ordering::SeqCst), 3, "tenants are served alike");
}

#[tokio::test]
async fn failure_of_a_credentials_source_reaches_the_caller() {
    let (role, asked) = (Role::new(), Arc::new(AtomicU32::new(0)));
    let registry = registry(&role, &asked);
    *role.password.lock().expect("no panic holds it") = String::new();
    let error = registry.session_for::<Model>().await.unwrap_err();
    let AcquireError::Connect { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(**source, ConnectError::Credentials(_)), "{error}");
    assert_eq!(
        causes(&error)[1..],
        ["the credentials could not be had", "the vault is sealed"].map(str::to_owned)
    );
    role.change_password("third");
    drop(registry.session_for::<Model>().await.expect("a session"));
}

#[tokio::test]
async fn credentials_source_can_name_another_user() {
    let role = Role::new();
    let (name, password) = (role.name.clone(), Arc::clone(&role.password));
    let url = postgres().url_with_password("nonsense");
    let registry = Registry::builder()
        .bind("default", url)
        .credentials("default", move |_: &DatabaseUrl| {
            let password = password.lock().expect("no panic holds it").clone();
            let credentials = Credentials::password(password).user(name.clone());
            assert!(!format!("{credentials:?}").contains("first"));
            async move { Ok::<_, std::io::Error>(credentials) }
        })
        .build()
        .expect("good settings");
    let mut session = registry.session_for::<Model>().await.expect("a session");
    let user: String = registry_core::RunQueryDsl::get_result(
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("current_user::text")),
        &mut session,
    )
    .await
    .expect("a row");
    assert_eq!(user, role.name);
}

/// The password in a URL is part of the identity of an engine.
#[tokio::test]
async fn wrong_password_in_a_url_does_not_reach_an_open_engine() {
    let (role, asked) = (Role::new(), Arc::new(AtomicU32::new(0)));
    let registry = registry(&role, &asked);
    let url = role.in_url(&postgres().database("test"));
    let with = |password: &str| url.replace('@', &format!(":{password}@"));
    let plain = Registry::builder().bind("default", with("first")).build().expect("good settings");
    let lent = plain.session_by_url::<Model>(with("first")).await.expect("a session");
    let error = plain.session_by_url::<Model>(with("guess")).await.unwrap_err();
    let AcquireError::Connect { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(**source, ConnectError::Authentication(_)), "{error}");
    assert!(!format!("{error:?} {:?} {}", plain.status(), plain.status()).contains("guess"));
    drop(lent);
    eventually(|| plain.status().on_demand.engines.len() == 1).await;
    drop(registry);
}

#[test]
fn credentials_for_an_unknown_bind_are_refused_at_build() {
    let error = Registry::builder()
        .bind("default", "sqlite::memory:")
        .credentials("defualt", |_: &DatabaseUrl| async {
            Ok::<_, std::io::Error>(Credentials::password("x"))
        })
        .build()
        .unwrap_err();
    assert_eq!(error.to_string(), "credentials(\"defualt\"): there is no such bind");
}
