//! Tables, and rates between snapshots whose times and counters are set here.

use std::time::{Duration, SystemTime};

use super::{Status, TerminalStatus};
use crate::backend::{Postgres, Sqlite};
use crate::bind::{Db, Name};
use crate::engine::{LastError, ReplicaState};
use crate::{BindSettings, Registry};

// As `binds!` declares them, which is for other crates.
type Shop = Db<Postgres, Name<'s', 'h', 'o', 'p'>>;
type Analytics = Db<Sqlite, Name<'a', 'n', 'a', 'l', 'y', 't', 'i', 'c', 's'>>;

/// A registry that has connected to nothing.
fn registry() -> Registry {
    let url = "postgres://shop:geheim@127.0.0.1:1/shop";
    let built = Registry::builder().bind("shop", url).bind("analytics", "sqlite::memory:").build();
    built.expect("good settings")
}

/// A snapshot that is so much later, with these counters of `shop`: direct, waited, timed out.
fn later(status: &Status, over: Duration, [direct, waited, timed_out]: [u64; 3]) -> Status {
    let mut status = status.clone();
    status.at += over;
    let shop = &mut status.engines[1];
    (shop.direct, shop.waited, shop.timed_out) = (direct, waited, timed_out);
    status
}

fn coloured(status: &Status) -> String {
    TerminalStatus { status, has_colours: true }.to_string()
}

#[test]
fn first_look_has_no_rates() {
    let status = registry().status();
    assert_eq!(
        status.to_string(),
        "bind       backend     in use  idle  max  waiting  direct  waited  timed out  url\n\
         analytics  SQLite           0     0    1        0       0       0          0  sqlite::memory:\n\
         shop       PostgreSQL       0     0   10        0       0       0          0  postgres://shop:***@127.0.0.1:1/shop"
    );
    assert!(status.since_last.is_none() && status.engines[1].since_last.is_none());
}

#[test]
fn second_look_has_rates() {
    let first = later(&registry().snapshot(), Duration::ZERO, [100, 7, 1]);
    let second = later(&first, Duration::from_millis(2100), [200, 12, 3]).since(&first);
    assert_eq!(
        second.to_string(),
        "bind       backend     in use  idle  max  waiting  direct  waited  timed out  per s  url\n\
         analytics  SQLite           0     0    1        0       0       0          0    0.0  sqlite::memory:\n\
         shop       PostgreSQL       0     0   10        0     200      12          3   50.0  postgres://shop:***@127.0.0.1:1/shop\n\
         rates since the last look, 2.1s ago"
    );
    let since = second.engines[1].since_last.expect("two looks");
    assert_eq!((since.direct, since.waited, since.timed_out), (100, 5, 2));
}

#[test]
fn a_rate_that_is_nearly_nothing_is_not_shown_as_nothing() {
    let first = registry().snapshot();
    let second = later(&first, Duration::from_secs(100), [1, 0, 0]).since(&first);
    assert!(second.to_string().contains("  <0.1  postgres"), "{second}");
}

#[test]
fn every_call_is_a_look_and_a_snapshot_of_the_crate_is_none() {
    let registry = registry();
    let first = registry.status();
    registry.snapshot();
    let second = registry.clone().status();
    assert_eq!(second.since_last, Some(second.at - first.at));
    let third = registry.status();
    assert_eq!(third.since_last, Some(third.at - second.at));
    assert_eq!(third.since(&first).since_last, Some(third.at - first.at));
}

#[test]
fn what_is_not_earlier_gives_no_rates() {
    let registry = registry();
    let first = registry.status();
    let second = later(&first, Duration::from_secs(1), [5, 0, 0]);
    for (status, earlier) in [(&first, &second), (&first, &first)] {
        let status = status.since(earlier);
        assert!(status.since_last.is_none() && status.on_demand.since_last.is_none());
        assert!(status.engines.iter().all(|engine| engine.since_last.is_none()));
        assert!(!status.to_string().contains("per s"));
    }
    let other = self::registry().status();
    assert!(other.since(&first).since_last.is_none(), "another registry's");
}

#[tokio::test]
async fn an_engine_that_was_opened_again_counts_from_its_opening() {
    let built = Registry::builder().bind("analytics", "sqlite::memory:").max_engines(1).build();
    let registry = built.expect("good settings");
    let folder = tempfile::tempdir().expect("a folder");
    let url = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    let use_once = async |name: &str| {
        drop(registry.session_by_url::<Analytics>(url(name).as_str()).await.expect("it opens"));
    };
    for _ in 0..5 {
        use_once("a.db").await;
    }
    let first = registry.status();
    assert_eq!(first.on_demand.engines[0].engine.direct, 5);
    // This evicts the engine, and is evicted by another one of the same file.
    use_once("b.db").await;
    use_once("a.db").await;
    let mut second = registry.status();
    let engine = &second.on_demand.engines[0].engine;
    assert_eq!((engine.direct, engine.since_last.expect("two looks").direct), (1, 1));
    let on_demand = second.on_demand.since_last.expect("two looks");
    assert_eq!((on_demand.misses, on_demand.evictions), (2, 2));

    second.at = first.at + Duration::from_secs(2);
    let second = second.since(&first);
    assert_eq!(second.on_demand.engines[0].engine.since_last.expect("two looks").per_second, 0.5);
    let line = "\nrates since the last look, 2.0s ago; on demand: 2 misses, 2 evictions\n";
    assert!(second.to_string().contains(line), "{second}");
}

#[test]
fn an_engine_of_which_the_earlier_snapshot_knows_nothing_has_no_rate() {
    let mut first = registry().snapshot();
    let second = later(&first, Duration::from_secs(1), [5, 0, 0]);
    first.engines.remove(1);
    let second = second.since(&first);
    assert!(second.engines[0].since_last.is_some() && second.engines[1].since_last.is_none());
    assert!(second.to_string().contains("  ?  postgres"), "{second}");
}

#[test]
fn what_needs_eyes_is_coloured_on_a_terminal() {
    let mut first = registry().snapshot();
    assert_eq!(coloured(&first), first.to_string(), "nothing needs eyes");
    first.engines[1].waiting = 3;
    first.engines[1].timed_out = 4;
    let at = SystemTime::UNIX_EPOCH;
    first.engines[1].last_error = Some(LastError { message: "refused\nhere".to_owned(), at });
    let shown = coloured(&first);
    for part in [
        "\u{1b}[33m3\u{1b}[0m",
        "\u{1b}[1;31m4\u{1b}[0m",
        "last error of `shop`: \u{1b}[1;31m1970-01-01T00:00:00Z refused\\nhere\u{1b}[0m",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown:?}");
    }
    assert!(!first.to_string().contains('\u{1b}'));

    // They time out no more.
    let second = later(&first, Duration::from_secs(1), [9, 0, 4]).since(&first);
    assert!(!coloured(&second).contains("m4\u{1b}"), "{second}");
    let second = later(&first, Duration::from_secs(1), [9, 0, 5]).since(&first);
    assert!(coloured(&second).contains("\u{1b}[1;31m5\u{1b}[0m"), "{second}");
}

#[tokio::test]
async fn replicas_that_are_out_are_coloured() {
    let url = "postgres://shop@127.0.0.1:1/shop";
    let built = Registry::builder().bind("shop", BindSettings::new(url).replica(url)).build();
    let registry = built.expect("good settings");
    // The first read of a reader asks the replicas; nothing answers here.
    let _ = registry.reader().session::<Shop>().await;
    let mut status = registry.snapshot();
    for (state, word) in [
        (ReplicaState::Fit, " fit "),
        (ReplicaState::Behind, "\u{1b}[33mbehind\u{1b}[0m"),
        (ReplicaState::Down, "\u{1b}[1;31mdown\u{1b}[0m"),
        (ReplicaState::Foreign, "\u{1b}[1;31mforeign\u{1b}[0m"),
    ] {
        status.engines[0].replicas[0].state = state;
        assert!(coloured(&status).contains(word), "{:?}", coloured(&status));
    }
}

#[test]
fn serialized_status_keeps_its_names() {
    let first = later(&registry().snapshot(), Duration::ZERO, [0, 0, 0]);
    let second = later(&first, Duration::from_millis(500), [4, 1, 0]).since(&first);
    let shown = serde_json::to_value(&second).expect("JSON");
    let expected = serde_json::json!({
        "engines": [
            {
                "key": "analytics", "url": "sqlite::memory:", "backend": "sqlite",
                "in_use": 0, "idle": 0, "max": 1, "waiting": 0,
                "direct": 0, "waited": 0, "timed_out": 0, "last_error": null,
                "since_last":
                    { "over": 0.5, "per_second": 0.0, "direct": 0, "waited": 0, "timed_out": 0 },
            },
            {
                "key": "shop", "url": "postgres://shop:***@127.0.0.1:1/shop", "backend": "postgres",
                "in_use": 0, "idle": 0, "max": 10, "waiting": 0,
                "direct": 4, "waited": 1, "timed_out": 0, "last_error": null,
                "since_last":
                    { "over": 0.5, "per_second": 10.0, "direct": 4, "waited": 1, "timed_out": 0 },
            },
        ],
        "on_demand": {
            "max_engines": 64, "engines": [], "closing": 0, "waiting": 0,
            "hits": 0, "misses": 0, "evictions": 0, "expired": 0,
            "since_last": { "over": 0.5, "hits": 0, "misses": 0, "evictions": 0, "expired": 0 },
        },
        "since_last": 0.5,
    });
    assert_eq!(shown, expected);
    let first = serde_json::to_value(&first).expect("JSON");
    assert_eq!(first["since_last"], serde_json::Value::Null);
    assert_eq!(first["engines"][0]["since_last"], serde_json::Value::Null);
}
