//! Panics of user code that holds a session.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diesel::result::Error;
use diesel_async::{AsyncConnection, SimpleAsyncConnection, TransactionManager};

use registry_core::{BindSettings, ConnectError, Credentials, DatabaseUrl, Registry};

use super::rig::{Rig, Session, UPDATE, acquire, connect_error, create_things, number};
use super::{Backend, IMPATIENT, SECOND, server};
use crate::support::causes;
use crate::support::proxy::soon;

const UNCHANGED: &str = "SELECT count(*) AS value FROM things WHERE value = 0";

async fn rig_with_things() -> Rig {
    let rig = Rig::new(|bind| bind.check_idle_after(Duration::from_secs(600))).await;
    create_things(&mut rig.observer().await).await;
    rig
}

/// Lets `work` panic with a session, and asserts that it left nothing behind.
async fn panics<F: Future<Output = ()> + Send + 'static>(rig: &Rig, work: impl Fn(Session) -> F) {
    // Twice as often as there are connections, so that a lost one would show.
    for _ in 0..4 {
        let session: Session = acquire(&rig.registry).await.expect("a session");
        let panic = soon(tokio::spawn(work(session))).await.expect_err("it panics");
        assert!(panic.is_panic());
        assert_eq!(rig.registry.status().engines[0].in_use, 0);
    }
    rig.assert_whole().await;
    let mut observer = rig.observer().await;
    observer.batch_execute(IMPATIENT).await.expect("a setting");
    assert_eq!(number(&mut observer, UNCHANGED).await, 1);
    // No lock is left.
    observer.batch_execute("UPDATE things SET value = 0").await.expect("a row");
}

#[tokio::test]
async fn panic_with_a_session_leaves_nothing() {
    let rig = rig_with_things().await;
    panics(&rig, |mut session| async move {
        number(&mut session, UNCHANGED).await;
        panic!("a mistake of the user's");
    })
    .await;
    rig.finish().await;
}

#[tokio::test]
async fn panic_in_a_transaction_leaves_nothing() {
    let rig = rig_with_things().await;
    panics(&rig, |mut session| async move {
        let _: Result<(), Error> = session
            .transaction(async |session| {
                session.batch_execute(UPDATE).await?;
                let _: Result<(), Error> = session
                    .transaction(async |session| {
                        session.batch_execute(UPDATE).await?;
                        panic!("a mistake of the user's, in a savepoint")
                    })
                    .await;
                Ok(())
            })
            .await;
    })
    .await;
    panics(&rig, |mut session| async move {
        let manager =
            <Backend as AsyncConnection>::TransactionManager::begin_transaction(&mut *session);
        manager.await.expect("begun");
        session.batch_execute(UPDATE).await.expect("a row");
        panic!("a mistake of the user's");
    })
    .await;
    rig.finish().await;
}

#[tokio::test]
async fn panic_beside_a_query_in_flight_leaves_nothing() {
    let rig = rig_with_things().await;
    panics(&rig, |mut session| async move {
        let mistake = async {
            tokio::task::yield_now().await;
            panic!("a mistake of the user's")
        };
        let _: (_, ()) = tokio::join!(session.batch_execute(SECOND), mistake);
    })
    .await;
    rig.finish().await;
}

#[tokio::test]
async fn panic_of_the_credentials_source_leaves_nothing() {
    let registry = Registry::builder()
        .bind("default", BindSettings::new(server().database("fault")).max_connections(2))
        .credentials("default", {
            let asked = AtomicU32::new(0);
            move |_: &DatabaseUrl| {
                let is_bad = asked.fetch_add(1, Ordering::SeqCst) < 4;
                async move {
                    assert!(!is_bad, "a mistake of the program's");
                    Ok::<_, std::io::Error>(Credentials::password(server().password()))
                }
            }
        })
        .build()
        .expect("good settings");
    // Twice as often as there are connections, so that a lost one would show.
    for _ in 0..4 {
        let error = acquire(&registry).await.unwrap_err();
        assert!(matches!(connect_error(&error), ConnectError::Other(_)), "{error:?}");
        assert!(causes(&error)[2].contains("a mistake of the program's"), "{:?}", causes(&error));
    }
    let sessions = (acquire(&registry).await, acquire(&registry).await);
    assert!(sessions.0.is_ok() && sessions.1.is_ok());
}

/// Panics when it is dropped.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("another mistake of the program's");
    }
}

#[tokio::test]
async fn panic_followed_by_a_panic_in_drop_leaves_nothing() {
    let registry = Registry::builder()
        .bind("default", BindSettings::new(server().database("fault")).max_connections(1))
        .credentials("default", |_: &DatabaseUrl| async {
            std::panic::panic_any(Mine);
            #[expect(unreachable_code, reason = "says what the type is")]
            Ok::<_, std::io::Error>(Credentials::password(""))
        })
        .build()
        .expect("good settings");
    for _ in 0..2 {
        let error = acquire(&registry).await.unwrap_err();
        assert!(matches!(connect_error(&error), ConnectError::Other(_)), "{error:?}");
        assert_eq!(registry.status().engines[0].in_use, 0);
    }
}
