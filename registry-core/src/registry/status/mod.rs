//! A snapshot of a registry.
//!
//! `look` has what has changed since an earlier snapshot, and `table` how a snapshot is printed.

use std::io::{self, IsTerminal};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::handle::Registry;
use crate::engine::EngineStatus;
use crate::on_demand::OnDemandStatus;
use crate::serialized::as_optional_seconds;
use crate::tone::ColourWishes;

mod look;
mod table;
#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests;

pub(super) use look::Look;
pub use table::TerminalStatus;

impl Registry {
    /// A snapshot of every engine: the engines of the binds, in the order of the bind keys, and the engines that were
    /// opened on demand. It does not wait, and queries no database.
    ///
    /// It counts as a look: the snapshot also has what each engine has done since the last call of this method on any
    /// clone of the registry. So this is for one reader, such as a person at a terminal. If several readers take snapshots,
    /// each of them keeps its own last one and asks for the changes by [`Status::since`].
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let status = registry.status();
    /// assert_eq!(status.engines[0].in_use, 0);
    /// assert!(status.since_last.is_none()); // the first look
    /// println!("{status}"); // as a table
    ///
    /// assert_eq!(registry.status().engines[0].since_last.unwrap().direct, 0);
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.snapshot();
        let look = Look::of(&status);
        let earlier = {
            let mut last = self.0.last_look.lock().unwrap_or_else(PoisonError::into_inner);
            match &*last {
                // Another caller has taken its snapshot after this one, and was quicker here.
                Some(last) if last.at > look.at => None,
                _ => last.replace(look),
            }
        };
        if let Some(earlier) = earlier {
            earlier.note_changes(&mut status);
        }
        status
    }

    /// A snapshot that does not count as a look, for callers of this crate.
    pub(crate) fn snapshot(&self) -> Status {
        // Read first, so that an engine which is opened meanwhile counts as one that was opened later.
        let at = Instant::now();
        let engines = self.engines().iter().map(|engine| engine.status()).collect();
        let on_demand = self.0.on_demand.status();
        Status { engines, on_demand, since_last: None, at, registry: self.number() }
    }
}

/// A snapshot of every engine, see [`Registry::status`].
///
/// Its `Display` is a table without colours, with the tenants of engines that were opened on demand, and below it where
/// the reads of readers went, a table of the replicas, and the last errors of the binds. If there is an earlier look, the
/// table has the acquires of each engine per second since then. [`for_terminal`](Self::for_terminal) adds colours.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The engines of the binds, in the order of their keys.
    pub engines: Vec<EngineStatus>,
    /// The engines that were opened on demand.
    pub on_demand: OnDemandStatus,
    /// How long ago the last look was, since which the engines and `on_demand` have their changes. `None` at the first
    /// look. It is serialized in seconds.
    #[serde(serialize_with = "as_optional_seconds")]
    pub since_last: Option<Duration>,
    #[serde(skip)]
    at: Instant,
    /// The number of the registry.
    #[serde(skip)]
    registry: usize,
}

impl Status {
    /// This snapshot with what each engine has done since an earlier one, in place of what it has done since the last look.
    ///
    /// It is for monitors: `registry.status()` remembers one last look for all of its callers, and a monitor that keeps its
    /// own earlier snapshot gets the changes over its own interval, whoever else looks. An engine that was closed and opened
    /// again meanwhile counts from its opening. There are no changes if `earlier` is not earlier, or of another registry.
    ///
    /// ```
    /// use registry_core::{Registry, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let earlier = registry.status();
    /// drop(registry.session_for::<events::table>().await?);
    /// registry.status(); // somebody else looks
    ///
    /// let status = registry.status().since(&earlier);
    /// assert_eq!(status.engines[0].since_last.unwrap().direct, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut status = self.clone();
        Look::of(earlier).note_changes(&mut status);
        status
    }

    /// The table for standard output: in colours if that is a terminal, and otherwise as `Display` of the status.
    ///
    /// Callers that wait are yellow, time-outs since the last look (at the first look: any) red, replicas that are behind
    /// yellow and those that are out red, and the last errors red. There are no colours if standard output is not a terminal,
    /// if `NO_COLOR` is set and not empty, or if `TERM` is `dumb`.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// println!("{}", registry.status().for_terminal());
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn for_terminal(&self) -> TerminalStatus<'_> {
        let has_colours = ColourWishes::of_process().allow(io::stdout().is_terminal());
        TerminalStatus { status: self, has_colours }
    }

    fn all_engines(&self) -> impl Iterator<Item = &EngineStatus> {
        self.engines.iter().chain(self.on_demand.engines.iter().map(|one| &one.engine))
    }

    fn all_engines_mut(&mut self) -> impl Iterator<Item = &mut EngineStatus> {
        let on_demand = self.on_demand.engines.iter_mut().map(|one| &mut one.engine);
        self.engines.iter_mut().chain(on_demand)
    }

    fn forget_changes(&mut self) {
        self.since_last = None;
        self.on_demand.since_last = None;
        self.all_engines_mut().for_each(|engine| engine.since_last = None);
    }
}
