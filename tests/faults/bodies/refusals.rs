//! Servers that are not up yet, and servers that refuse connections.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use registry_core::{AcquireError, ConnectError};

use super::rig::{
    AT_ONCE, Rig, acquire, assert_answers, assert_whole, connect, connect_error, refused, registry,
};
use super::{Backend, LESS_LONELY, LONELY, server};
use crate::support::causes;
use crate::support::proxy::soon;

#[tokio::test]
async fn server_that_starts_late_is_used_once_it_is_up() {
    let rig = Rig::new(|bind| bind).await;
    rig.proxy.refuse().await;
    // There are more callers than connections, and each of them gets the error immediately.
    for (error, took) in join_all((0..5).map(|_| refused(&rig.registry))).await {
        assert!(took < AT_ONCE, "long before any time-out: {took:?}");
        assert!(matches!(connect_error(&error), ConnectError::Unreachable(_)), "{error:?}");
        assert!(causes(&error)[2].contains("Connection refused"), "{:?}", causes(&error));
        assert!(error.is_transient() && !error.is_timeout());
    }
    let status = &rig.registry.status().engines[0];
    assert_eq!((status.in_use, status.idle, status.waiting), (0, 0, 0));
    assert_eq!(rig.proxy.accepted(), 0);

    rig.proxy.heal().await;
    rig.finish().await;
}

#[tokio::test]
async fn failed_warm_up_loses_no_capacity() {
    let rig = Rig::new(|bind| bind.min_idle(2)).await;
    rig.proxy.refuse().await;
    let (_, took) = refused(&rig.registry).await;
    assert!(took < AT_ONCE, "{took:?}");
    rig.proxy.heal().await;
    rig.finish().await;
}

#[tokio::test]
async fn wrong_password_and_unknown_database_fail_immediately_for_their_bind_only() {
    let url = server().database("refusing");
    let (rest, _) = url.rsplit_once('/').expect("a path");
    let wrong = registry(&server().url_with_password("hunter2"), |bind| bind);
    let (error, took) = refused(&wrong).await;
    assert!(took < AT_ONCE, "{took:?}");
    assert!(matches!(connect_error(&error), ConnectError::Authentication(_)), "{error:?}");
    let unknown = registry(&format!("{rest}/nowhere"), |bind| bind);
    let (error, took) = refused(&unknown).await;
    assert!(took < AT_ONCE, "{took:?}");
    assert!(matches!(connect_error(&error), ConnectError::UnknownDatabase(_)), "{error:?}");
    for registry in [wrong, unknown] {
        for _ in 0..3 {
            refused(&registry).await;
        }
        let status = &registry.status().engines[0];
        assert_eq!((status.in_use, status.idle), (0, 0));
        let report = registry.check(Duration::from_secs(20)).await;
        assert!(report.binds[0].failure.is_some());
        assert_eq!(report.binds[1].failure, None, "the other bind works");
    }
}

#[tokio::test]
async fn connection_limit_of_the_server_is_reported_and_waited_out() {
    let url = server().database("crowded");
    let mut admin = connect(&url).await;
    for statement in LONELY {
        admin.batch_execute(statement).await.expect("an admin may");
    }
    let user = format!("://{}:", server().user());
    let url = url.replacen(&user, "://lonely:", 1).replacen(server().password(), "sesame", 1);
    let crowded = registry(&url, |bind| bind);

    let mut only = acquire(&crowded).await.expect("the one that there may be");
    // The only connection is the engine's own and will be returned, so the caller waits for it.
    let limit = Duration::from_millis(400);
    let error = crowded.session_by_key::<Backend>("default").within(limit).await.unwrap_err();
    let AcquireError::TimedOut { after, last_error: Some(last), .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*after, limit);
    assert!(matches!(**last, ConnectError::TooManyConnections(_)), "{error:?}");
    assert!(error.is_transient() && error.is_timeout());
    // The session is not affected, and its connection is lent to the next caller.
    assert_answers(&mut only, 3).await;
    let mut next = Box::pin(crowded.session_by_key::<Backend>("default"));
    assert!(futures_util::poll!(&mut next).is_pending());
    drop(only);
    let mut only = soon(next).await.expect("the same again");
    assert_answers(&mut only, 4).await;
    drop(only);
    // Another engine has no connection of its own to wait for, and fails.
    let stranger = registry(&url, |bind| bind);
    let (error, took) = refused(&stranger).await;
    assert!(took < AT_ONCE, "{took:?}");
    assert!(matches!(connect_error(&error), ConnectError::TooManyConnections(_)), "{error:?}");
    assert!(error.is_transient() && !error.is_timeout());

    // The slot of the connection that could not be opened was not lost.
    admin.batch_execute(LESS_LONELY).await.expect("an admin may");
    assert_whole(&crowded).await;
}
