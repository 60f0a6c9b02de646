//! The limits that the results must keep.

use super::row::{Row, Rows};

/// A limit that a case must keep.
#[derive(Clone, Copy)]
enum Bar {
    /// The most nanoseconds of a subject.
    Within(&'static str, f64),
    /// The most that our time may be, as a multiple of a peer's.
    Over(&'static str, f64),
    /// The most that the time of a variant of ours may be, as a multiple of ours.
    Variant(&'static str, f64),
    /// The most nanoseconds that we may take more than a peer.
    More(&'static str, f64),
    /// The least that our throughput must be, as a multiple of a peer's.
    Speed(&'static str, f64),
    /// The least that our throughput must be, as a multiple of that of the fastest of these peers.
    SpeedOfBest(&'static [&'static str], f64),
    /// The most that the 99th percentile of our operations may be, as a multiple of their median.
    Tail(f64),
    /// Nothing of ours may fail.
    Sound,
}

/// Pools that keep more than one connection of SQLite's open.
const POOLS: &[&str] = &[
    "bb8-default",
    "bb8-tuned",
    "deadpool-default",
    "deadpool-tuned",
    "sqlx-default",
    "sqlx-tuned",
];

const TUNED: &[&str] = &["bb8-tuned", "deadpool-tuned", "sqlx-tuned", "mysql_async-tuned"];

const BARS: &[(&str, Bar)] = &[
    ("acquire-1", Bar::Over("bb8-bare", 1.4)),
    ("acquire-64", Bar::Over("bb8-bare", 1.4)),
    ("row-1", Bar::Over("held", 1.05)),
    ("row-1", Bar::Speed("bb8-default", 1.5)),
    ("row-1", Bar::Speed("deadpool-default", 1.5)),
    ("row-64", Bar::Speed("bb8-tuned", 0.97)),
    ("row-64", Bar::Speed("bb8-default", 1.6)),
    ("row-64", Bar::Speed("deadpool-default", 1.6)),
    ("row-64", Bar::Speed("sqlx-default", 1.6)),
    ("routed-1", Bar::Over("ours-session", 1.05)),
    ("routed-1", Bar::Variant("ours-recorded", 1.05)),
    ("routed-1", Bar::Variant("ours-metrics", 1.03)),
    ("routed-64", Bar::Over("ours-session", 1.05)),
    ("pipeline-10", Bar::Over("ours-in-a-row", 0.35)),
    ("pipeline-10", Bar::Over("diesel-async", 1.1)),
    ("reader-1", Bar::Over("registry", 1.05)),
    ("reader-64", Bar::Over("registry", 1.05)),
    ("pooled-1", Bar::Over("session-mode", 1.15)),
    ("pooled-1", Bar::Over("session-unnamed", 1.15)),
    ("route", Bar::Within("ours-1-bind", 20.0)),
    ("route", Bar::Within("ours-10-binds", 20.0)),
    ("route", Bar::Within("ours-1000-binds", 20.0)),
    ("tenant-10", Bar::More("named", 150.0)),
    ("tenant-1000", Bar::More("named", 150.0)),
    ("tenant-10000", Bar::More("named", 150.0)),
    ("lite-read-1", Bar::Over("tokio-rusqlite", 1.2)),
    ("lite-read-1", Bar::SpeedOfBest(POOLS, 1.0)),
    ("lite-read-64", Bar::Over("tokio-rusqlite", 1.2)),
    ("lite-read-64", Bar::SpeedOfBest(POOLS, 1.0)),
    ("lite-write-1", Bar::SpeedOfBest(POOLS, 1.0)),
    ("lite-write-64", Bar::Over("tokio-rusqlite", 1.2)),
    ("lite-write-64", Bar::SpeedOfBest(POOLS, 1.0)),
    ("lite-write-64", Bar::Tail(2.0)),
    ("lite-write-64", Bar::Sound),
    ("lite-mixed-64", Bar::SpeedOfBest(POOLS, 1.0)),
    ("lite-mixed-64", Bar::Sound),
    ("my-read-1", Bar::Over("held", 1.05)),
    ("my-read-64", Bar::SpeedOfBest(TUNED, 1.0)),
    ("my-read-64", Bar::Speed("bb8-default", 1.6)),
    ("my-read-64", Bar::Speed("deadpool-default", 1.6)),
];

/// A bar, judged: the case, what it says, and whether it is met.
pub(crate) struct Judgement {
    pub(crate) case: &'static str,
    /// What was measured.
    pub(crate) found: String,
    /// What was asked for.
    pub(crate) asked: String,
    is_met: bool,
}

impl Judgement {
    pub(crate) fn word(&self) -> &'static str {
        if self.is_met { "met" } else { "missed" }
    }
}

/// All bars of the cases that were measured.
pub(crate) fn judge(rows: &[Row]) -> Vec<Judgement> {
    let judge = |(case, bar): &(&'static str, Bar)| {
        let (found, asked, is_met) = judge_one(rows, case, *bar)?;
        Some(Judgement { case, found, asked, is_met })
    };
    BARS.iter().filter_map(judge).collect()
}

/// `None` if a subject was not measured.
fn judge_one(rows: &[Row], case: &str, bar: Bar) -> Option<(String, String, bool)> {
    let median = |subject| rows.median(case, subject);
    Some(match bar {
        Bar::Within(subject, limit) => {
            let ns = median(subject)?;
            (format!("{subject} takes {ns:.1} ns"), at_most(limit), ns <= limit)
        }
        Bar::Over(peer, limit) => {
            let ratio = median("ours")? / median(peer)?;
            let found = format!("ours takes {ratio:.3} times as long as {peer}");
            (found, at_most(limit), ratio <= limit)
        }
        Bar::Variant(variant, limit) => {
            let ratio = median(variant)? / median("ours")?;
            let found = format!("{variant} takes {ratio:.3} times as long as ours");
            (found, at_most(limit), ratio <= limit)
        }
        Bar::More(peer, limit) => {
            let more = median("ours")? - median(peer)?;
            (format!("ours takes {more:.1} ns more than {peer}"), at_most(limit), more <= limit)
        }
        Bar::Speed(peer, limit) => speed(median(peer)? / median("ours")?, peer, limit),
        Bar::SpeedOfBest(peers, limit) => {
            let medians = peers.iter().filter_map(|peer| Some((median(peer)?, *peer)));
            let (best, peer) = medians.min_by(|(one, _), (other, _)| one.total_cmp(other))?;
            speed(best / median("ours")?, &format!("{peer}, the best of its kind"), limit)
        }
        Bar::Tail(limit) => {
            let latency = rows.row(case, "ours")?.latency?;
            let ratio = latency.ratio();
            let found = format!("the 99th percentile of ours is {ratio:.3} times its median");
            (found, format!("less than {limit}"), ratio < limit)
        }
        Bar::Sound => {
            let Row { failures, locked, .. } = rows.row(case, "ours")?;
            let found = format!("ours fails {failures} times, {locked} by \"database is locked\"");
            (found, "none".to_owned(), *failures == 0)
        }
    })
}

fn at_most(limit: f64) -> String {
    format!("at most {limit}")
}

fn speed(ratio: f64, peer: &str, limit: f64) -> (String, String, bool) {
    let found = format!("ours is {ratio:.3} times as fast as {peer}");
    (found, format!("at least {limit}"), ratio >= limit)
}
