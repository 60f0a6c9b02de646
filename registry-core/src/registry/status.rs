//! How a registry is doing.

use std::fmt;

use serde::Serialize;

use crate::engine::EngineStatus;
use crate::on_demand::{OnDemandEngine, OnDemandStatus};

/// A snapshot of every engine. It shows itself as a table, those that were opened on demand with their
/// tenants, and with the last errors of the binds below it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The engines of the binds, in the order of their keys.
    pub engines: Vec<EngineStatus>,
    /// The engines that were opened on demand.
    pub on_demand: OnDemandStatus,
}

impl Status {
    pub(super) fn new(engines: Vec<EngineStatus>, on_demand: OnDemandStatus) -> Self {
        Self { engines, on_demand }
    }
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
        let rows = named.chain(on_demand).map(|(name, engine)| {
            [
                name,
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
        for engine in &self.engines {
            if let Some(error) = &engine.last_error {
                write!(f, "\nlast error of `{}`: {error}", engine.key)?;
            }
        }
        Ok(())
    }
}

/// Writes rows of which the first is the headings. Columns are as wide as they must be: two of text,
/// then numbers, and the last runs out.
fn write_table<const N: usize>(f: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
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
