//! The engines of the binds, with their charts and their replicas.

use askama::Template;

use super::chart::{Chart, Line, top_of};
use super::{Snapshot, text};
use crate::engine::{EngineStatus, ReadStatus, ReplicaState, ReplicaStatus};
use crate::registry::Answer;
use crate::settings::BindKey;
use crate::web::dashboard::activity::Activity;
use crate::web::dashboard::history::Sample;

#[derive(Template)]
#[template(path = "dashboard/binds.html")]
pub(super) struct Binds {
    binds: Vec<Bind>,
    /// The binds with a database for each tenant, which have no engine of their own.
    per_tenant: Vec<String>,
}

struct Bind {
    key: String,
    backend: String,
    place: String,
    health: HealthView,
    usage: Usage,
    waiting: u32,
    direct: String,
    waited: String,
    timed_out: String,
    charts: Vec<Chart>,
    reads: Option<Reads>,
    replicas: Vec<Replica>,
}

/// The connections of an engine or a replica, also as a bar.
pub(super) struct Usage {
    pub(super) in_use: u32,
    pub(super) idle: u32,
    pub(super) max: u32,
    /// Where the bar of those in use ends, and that of those that are open, in percent.
    pub(super) in_use_percent: f64,
    pub(super) open_percent: f64,
}

impl Usage {
    pub(super) fn new(in_use: u32, idle: u32, max: u32) -> Self {
        let percent = |count: u32| {
            let share = f64::from(count) / f64::from(max.max(1));
            (share.min(1.0) * 1000.0).round() / 10.0
        };
        let (in_use_percent, open_percent) =
            (percent(in_use), percent(in_use.saturating_add(idle)));
        Self { in_use, idle, max, in_use_percent, open_percent }
    }
}

struct HealthView {
    class: &'static str,
    text: String,
    /// Why the database does not answer.
    failure: Option<String>,
}

struct Reads {
    on_replicas: String,
    on_primary: String,
    refused: String,
    waits: String,
}

struct Replica {
    host: String,
    class: &'static str,
    state: ReplicaState,
    lag: String,
    reads: String,
    usage: Usage,
    waiting: u32,
    error: Option<String>,
}

impl Binds {
    pub(super) fn new(snapshot: &Snapshot<'_>) -> Self {
        let engines = &snapshot.status.engines;
        let per_tenant = snapshot.keys.iter().filter(|key| {
            // In the settings, and without an engine.
            engines.iter().all(|engine| engine.key != **key)
        });
        Self {
            binds: engines.iter().map(|engine| Bind::new(engine, snapshot)).collect(),
            per_tenant: per_tenant.map(ToString::to_string).collect(),
        }
    }
}

impl Bind {
    fn new(engine: &EngineStatus, snapshot: &Snapshot<'_>) -> Self {
        Self {
            key: engine.key.to_string(),
            backend: engine.backend.to_string(),
            place: engine.url.place(),
            health: HealthView::new(engine.key, snapshot),
            usage: Usage::new(engine.in_use, engine.idle, engine.max),
            waiting: engine.waiting,
            direct: text::count(engine.direct),
            waited: text::count(engine.waited),
            timed_out: text::count(engine.timed_out),
            charts: charts(engine, snapshot),
            reads: engine.reads.as_ref().map(Reads::new),
            replicas: engine
                .replicas
                .iter()
                .map(|replica| Replica::new(replica, snapshot))
                .collect(),
        }
    }
}

impl HealthView {
    fn new(key: BindKey, snapshot: &Snapshot<'_>) -> Self {
        if snapshot.is_closed {
            return Self { class: "off", text: "closed".to_owned(), failure: None };
        }
        let Some(health) = snapshot.known.health.of(key) else {
            return Self { class: "off", text: "not asked yet".to_owned(), failure: None };
        };
        match &health.answer {
            Answer::Yes { took } => {
                let text = format!("answers in {}", text::duration(*took));
                Self { class: "good", text, failure: None }
            }
            Answer::NotAsked => {
                let text = "not asked: all connections are in use".to_owned();
                Self { class: "busy", text, failure: None }
            }
            Answer::No(failure) => {
                let text =
                    format!("no answer since {} UTC", text::moment(health.since, snapshot.at));
                Self { class: "bad", text, failure: Some(snapshot.without_users(failure)) }
            }
        }
    }
}

impl Reads {
    fn new(reads: &ReadStatus) -> Self {
        Self {
            on_replicas: text::count(reads.on_replicas),
            on_primary: text::count(reads.on_primary()),
            refused: text::count(reads.refused),
            waits: text::count(reads.waits),
        }
    }
}

impl Replica {
    fn new(replica: &ReplicaStatus, snapshot: &Snapshot<'_>) -> Self {
        let host = if replica.host.is_empty() { replica.url.place() } else { replica.host.clone() };
        Self {
            host,
            class: match replica.state {
                ReplicaState::Fit => "good",
                ReplicaState::Behind => "busy",
                ReplicaState::Unknown => "off",
                _ => "bad",
            },
            state: replica.state,
            lag: replica.lag.map_or_else(|| "unknown".to_owned(), text::duration),
            reads: text::count(replica.reads),
            usage: Usage::new(replica.in_use, replica.idle, replica.max),
            waiting: replica.waiting,
            error: replica.last_error.as_ref().map(|error| snapshot.without_users(error)),
        }
    }
}

fn charts(engine: &EngineStatus, snapshot: &Snapshot<'_>) -> Vec<Chart> {
    let samples = || snapshot.known.history.of(engine.key);
    let line = |class, top, figure: fn(&Sample) -> Option<f64>| {
        Line::new(class, samples(), snapshot.now, top, figure)
    };
    let highest =
        |figure: fn(&Sample) -> Option<f64>| samples().filter_map(figure).fold(0.0, f64::max);
    let in_use = |sample: &Sample| Some(f64::from(sample.in_use));
    let waiting = |sample: &Sample| Some(f64::from(sample.waiting));
    let rate = |sample: &Sample| Some(sample.activity?.per_second);
    let p50 = |sample: &Sample| Some(sample.activity?.p50?.as_secs_f64());
    let p95 = |sample: &Sample| Some(sample.activity?.p95?.as_secs_f64());

    let most_waiting = top_of(highest(waiting), 1.0);
    let highest_rate = top_of(highest(rate), 1.0);
    let longest = top_of(highest(p95), 1e-3);
    let last: Option<Activity> = samples().last().and_then(|sample| sample.activity);
    let seconds = |seconds| text::duration(std::time::Duration::from_secs_f64(seconds));
    let or_dash = |figure: Option<String>| figure.unwrap_or_else(|| "–".to_owned());
    vec![
        Chart {
            title: "In use",
            now: engine.in_use.to_string(),
            note: format!("highest {}", highest(in_use)),
            top: engine.max.to_string(),
            lines: vec![line("first", f64::from(engine.max.max(1)), in_use).into_area()],
        },
        Chart {
            title: "Waiting",
            now: engine.waiting.to_string(),
            note: format!("highest {}", highest(waiting)),
            top: text::digits(most_waiting),
            lines: vec![line("alert", most_waiting, waiting).into_area()],
        },
        Chart {
            title: "Queries/s",
            now: or_dash(last.map(|activity| text::digits(activity.per_second))),
            note: format!("highest {}", text::digits(highest(rate))),
            top: text::digits(highest_rate),
            lines: vec![line("first", highest_rate, rate).into_area()],
        },
        Chart {
            title: "Latency, median",
            now: or_dash(last.and_then(|activity| activity.p50).map(text::duration)),
            note: match last.and_then(|activity| activity.p95) {
                Some(p95) => format!("95 %: {}", text::duration(p95)),
                None if last.is_some() => "no query in the last second".to_owned(),
                None => "not known yet".to_owned(),
            },
            top: seconds(longest),
            lines: vec![line("second", longest, p95), line("first", longest, p50)],
        },
    ]
}
