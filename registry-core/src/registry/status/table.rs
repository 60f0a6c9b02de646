//! A snapshot as a table.

use std::fmt;
use std::time::Duration;

use super::Status;
use crate::engine::{AcquiresSince, EngineStatus, ReadStatus, ReplicaState, ReplicaStatus};
use crate::on_demand::OnDemandEngine;
use crate::registry::table::{Cell, visible, write_table};
use crate::tone::Tone;

/// A snapshot as a table for a terminal, see [`Status::for_terminal`].
#[derive(Debug, Clone, Copy)]
pub struct TerminalStatus<'s> {
    pub(super) status: &'s Status,
    pub(super) has_colours: bool,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TerminalStatus { status: self, has_colours: false }.fmt(f)
    }
}

impl fmt::Display for TerminalStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, has_colours } = *self;
        let named = status.engines.iter().map(|engine| (engine.key.to_string(), engine));
        let on_demand =
            status.on_demand.engines.iter().map(|OnDemandEngine { tenants, engine }| {
                (format!("{} {}", engine.key, tenants.join(",")).trim_end().to_owned(), engine)
            });
        let named: Vec<(String, &EngineStatus)> = named.chain(on_demand).collect();
        match status.since_last {
            None => {
                let rows = named.iter().map(|(name, engine)| plain_row(name, engine));
                let rows: Vec<_> = std::iter::once(HEADINGS.map(Cell::new)).chain(rows).collect();
                write_table(f, &rows, has_colours)?;
            }
            Some(over) => {
                let rows = named.iter().map(|(name, engine)| row_with_rates(name, engine));
                let headings = with_rate(HEADINGS.map(Cell::new), Cell::new("per s"));
                let rows: Vec<_> = std::iter::once(headings).chain(rows).collect();
                write_table(f, &rows, has_colours)?;
                self.write_interval(f, over)?;
            }
        }
        if status.on_demand.misses > 0 {
            let tone = if status.on_demand.waiting > 0 { Tone::Warning } else { Tone::Plain };
            write!(f, "\n{}", tone.paint(&status.on_demand, has_colours))?;
        }
        write_reads(f, &named, has_colours)?;
        for engine in &status.engines {
            if let Some(error) = &engine.last_error {
                let error = visible(&error.to_string());
                let error = Tone::Bad.paint(error, has_colours);
                write!(f, "\nlast error of `{}`: {error}", engine.key)?;
            }
        }
        Ok(())
    }
}

impl TerminalStatus<'_> {
    fn write_interval(&self, f: &mut fmt::Formatter<'_>, over: Duration) -> fmt::Result {
        write!(f, "\nrates since the last look, {over:.1?} ago")?;
        match self.status.on_demand.since_last {
            Some(since) if self.status.on_demand.misses > 0 => {
                write!(f, "; on demand: {} misses, {} evictions", since.misses, since.evictions)
            }
            _ => Ok(()),
        }
    }
}

const HEADINGS: [&str; 10] =
    ["bind", "backend", "in use", "idle", "max", "waiting", "direct", "waited", "timed out", "url"];

fn plain_row(name: &str, engine: &EngineStatus) -> [Cell; 10] {
    let waiting = if engine.waiting > 0 { Tone::Warning } else { Tone::Plain };
    let timed_out = match engine.since_last {
        Some(AcquiresSince { timed_out: 0, .. }) => Tone::Plain,
        _ if engine.timed_out > 0 => Tone::Bad,
        _ => Tone::Plain,
    };
    [
        Cell::new(name),
        Cell::new(engine.backend),
        Cell::new(engine.in_use),
        Cell::new(engine.idle),
        Cell::new(engine.max),
        Cell::toned(engine.waiting, waiting),
        Cell::new(engine.direct),
        Cell::new(engine.waited),
        Cell::toned(engine.timed_out, timed_out),
        Cell::new(&engine.url),
    ]
}

fn row_with_rates(name: &str, engine: &EngineStatus) -> [Cell; 11] {
    let rate = engine.since_last.map_or_else(|| "?".to_owned(), |since| rate(since.per_second));
    with_rate(plain_row(name, engine), Cell::new(rate))
}

/// The row with the rate before the URL.
fn with_rate(row: [Cell; 10], rate: Cell) -> [Cell; 11] {
    let [bind, backend, in_use, idle, max, waiting, direct, waited, timed_out, url] = row;
    [bind, backend, in_use, idle, max, waiting, direct, waited, timed_out, rate, url]
}

fn rate(per_second: f64) -> String {
    match per_second > 0.0 && per_second < 0.05 {
        // It is not nothing.
        true => "<0.1".to_owned(),
        false => format!("{per_second:.1}"),
    }
}

/// Writes where reads went, and a table of the replicas. Each engine has the name of its bind, and of its tenant.
fn write_reads(
    f: &mut fmt::Formatter<'_>,
    engines: &[(String, &EngineStatus)],
    has_colours: bool,
) -> fmt::Result {
    const HEADINGS: [&str; 10] = [
        "replica of",
        "host",
        "state",
        "lag",
        "lag bytes",
        "reads",
        "in use",
        "idle",
        "max",
        "last error",
    ];
    let reads = engines.iter().filter_map(|(name, engine)| Some((name, engine.reads.as_ref()?)));
    for (name, reads) in reads {
        let ReadStatus { on_replicas, without_replicas, behind, no_replica, .. } = reads;
        write!(
            f,
            "\nreads of `{name}`: {on_replicas} on replicas, {} on the primary",
            reads.on_primary()
        )?;
        if *without_replicas == 0 {
            write!(f, " ({behind} behind, {no_replica} no replica)")?;
        }
        write!(f, ", {} refused; {} waited for a replica", reads.refused, reads.waits)?;
    }
    let rows = engines
        .iter()
        .flat_map(|(name, engine)| engine.replicas.iter().map(|one| replica_row(name, one)));
    let rows: Vec<_> = std::iter::once(HEADINGS.map(Cell::new)).chain(rows).collect();
    if rows.len() > 1 {
        writeln!(f)?;
        write_table(f, &rows, has_colours)?;
    }
    Ok(())
}

fn replica_row(name: &str, replica: &ReplicaStatus) -> [Cell; 10] {
    let unknown = || "?".to_owned();
    let state = match replica.state {
        ReplicaState::Unknown | ReplicaState::Fit => Tone::Plain,
        ReplicaState::Behind => Tone::Warning,
        ReplicaState::Down | ReplicaState::Primary | ReplicaState::Foreign => Tone::Bad,
    };
    [
        Cell::new(name),
        Cell::new(&replica.host),
        Cell::toned(replica.state, state),
        Cell::new(replica.lag.map_or_else(unknown, |lag| format!("{:.3}s", lag.as_secs_f64()))),
        Cell::new(replica.lag_bytes.map_or_else(unknown, |bytes| bytes.to_string())),
        Cell::new(replica.reads),
        Cell::new(replica.in_use),
        Cell::new(replica.idle),
        Cell::new(replica.max),
        Cell::toned(replica.last_error.as_deref().unwrap_or_default(), Tone::Bad),
    ]
}
