//! A snapshot of a registry.

use std::fmt;

use serde::Serialize;

use super::handle::Registry;
use crate::engine::{EngineStatus, ReadStatus};
use crate::on_demand::{OnDemandEngine, OnDemandStatus};

impl Registry {
    /// A snapshot of every engine: the engines of the binds, in the order of the bind keys, and the engines that were
    /// opened on demand. It does not wait, and queries no database.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let status = registry.status();
    /// assert_eq!(status.engines[0].in_use, 0);
    /// println!("{status}"); // as a table
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let engines = self.engines().iter().map(|engine| engine.status()).collect();
        Status { engines, on_demand: self.0.on_demand.status() }
    }
}

/// A snapshot of every engine, see [`Registry::status`].
///
/// Its `Display` is a table, with the tenants of engines that were opened on demand, and below it where the reads of
/// readers went, a table of the replicas, and the last errors of the binds.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The engines of the binds, in the order of their keys.
    pub engines: Vec<EngineStatus>,
    /// The engines that were opened on demand.
    pub on_demand: OnDemandStatus,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEADINGS: [&str; 10] = [
            "bind",
            "backend",
            "in use",
            "idle",
            "max",
            "waiting",
            "direct",
            "waited",
            "timed out",
            "url",
        ];
        let named = self.engines.iter().map(|engine| (engine.key.to_string(), engine));
        let on_demand = self.on_demand.engines.iter().map(|OnDemandEngine { tenants, engine }| {
            (format!("{} {}", engine.key, tenants.join(",")).trim_end().to_owned(), engine)
        });
        let named: Vec<(String, &EngineStatus)> = named.chain(on_demand).collect();
        let rows = named.iter().map(|(name, engine)| {
            [
                name.clone(),
                engine.backend.to_string(),
                engine.in_use.to_string(),
                engine.idle.to_string(),
                engine.max.to_string(),
                engine.waiting.to_string(),
                engine.direct.to_string(),
                engine.waited.to_string(),
                engine.timed_out.to_string(),
                engine.url.to_string(),
            ]
        });
        let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned)).chain(rows).collect();
        write_table(f, &rows)?;
        if self.on_demand.misses > 0 {
            write!(f, "\n{}", self.on_demand)?;
        }
        write_reads(f, &named)?;
        for engine in &self.engines {
            if let Some(error) = &engine.last_error {
                write!(f, "\nlast error of `{}`: {error}", engine.key)?;
            }
        }
        Ok(())
    }
}

/// Writes where reads went, and a table of the replicas. Each engine has the name of its bind, and of its tenant.
fn write_reads(f: &mut fmt::Formatter<'_>, engines: &[(String, &EngineStatus)]) -> fmt::Result {
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
    let rows = engines.iter().flat_map(|(name, engine)| {
        engine.replicas.iter().map(|replica| {
            let unknown = || "?".to_owned();
            [
                name.clone(),
                replica.host.clone(),
                replica.state.to_string(),
                replica.lag.map_or_else(unknown, |lag| format!("{:.3}s", lag.as_secs_f64())),
                replica.lag_bytes.map_or_else(unknown, |bytes| bytes.to_string()),
                replica.reads.to_string(),
                replica.in_use.to_string(),
                replica.idle.to_string(),
                replica.max.to_string(),
                replica.last_error.clone().unwrap_or_default(),
            ]
        })
    });
    let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned)).chain(rows).collect();
    if rows.len() > 1 {
        writeln!(f)?;
        write_table(f, &rows)?;
    }
    Ok(())
}

/// Writes rows, of which the first row has the headings. Each column is as wide as its widest cell. The first two are
/// text and aligned to the left, the others are numbers, and the last one is not padded.
pub(super) fn write_table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    rows: &[[String; N]],
) -> fmt::Result {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            writeln!(f)?;
        }
        for (column, text) in row.iter().enumerate() {
            let width = widths[column];
            match column {
                _ if column + 1 == N => write!(f, "{text}")?,
                0 | 1 => write!(f, "{text:<width$}  ")?,
                _ => write!(f, "{text:>width$}  ")?,
            }
        }
    }
    Ok(())
}
