//! Limits for all engines together that are opened on demand.

use std::time::Duration;

use crate::settings::error::Problem;
use crate::settings::parse::draft::OnDemandDraft;
use crate::settings::validate::ranges::{LONGEST, TOO_LONG};

/// Limits for all engines together that are opened on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnDemandOptions {
    pub(crate) max_engines: u32,
    pub(crate) engine_idle_timeout: Option<Duration>,
}

impl Default for OnDemandOptions {
    fn default() -> Self {
        Self { max_engines: 64, engine_idle_timeout: Some(Duration::from_secs(10 * 60)) }
    }
}

/// The settings win over the builder.
pub(super) fn inherited(
    draft: OnDemandDraft,
    builder: OnDemandOptions,
    problems: &mut Vec<Problem>,
) -> OnDemandOptions {
    let (max, max_place) = draft.max_engines.map_or_else(
        || (builder.max_engines, "max_engines(..)".to_owned()),
        |written| (written.value, written.place),
    );
    if max == 0 {
        problems.push(Problem::new(max_place, "at least 1 engine can be open"));
    }
    let (idle, idle_place) = draft.engine_idle_timeout.map_or_else(
        || (builder.engine_idle_timeout, "engine_idle_timeout(..)".to_owned()),
        |written| (written.value, written.place),
    );
    if idle == Some(Duration::ZERO) {
        problems.push(Problem::new(idle_place, "zero is no duration here; \"none\" sets no limit"));
    } else if idle.is_some_and(|idle| idle > LONGEST) {
        problems.push(Problem::new(idle_place, format!("{TOO_LONG}; \"none\" sets no limit")));
    }
    OnDemandOptions { max_engines: max, engine_idle_timeout: idle }
}
