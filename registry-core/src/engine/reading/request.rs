//! What a read asks of a replica.

use std::time::Duration;

use crate::backend::position::Position;
use crate::settings::{EngineOptions, WhenBehind};

/// What a read asks of a replica: a limit to its lag, and a position that it must have reached.
#[derive(Debug, Clone)]
pub(crate) struct ReadRequest {
    /// `None`: any lag will do.
    pub(crate) max_lag: Option<Duration>,
    /// A lag in time counts only beyond this lag in bytes. `None`: beyond any.
    pub(crate) max_lag_bytes: Option<u64>,
    pub(crate) when_behind: WhenBehind,
    pub(crate) wait_for_replica: Duration,
    pub(crate) after: WantedPosition,
}

/// The position that a read must be after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WantedPosition {
    Any,
    At(Position),
    /// Something was written, and it is not known where: no replica has reached it.
    Unknown,
}

impl ReadRequest {
    /// The request of a reader without settings of its own.
    pub(crate) fn of_options(options: &EngineOptions) -> Self {
        Self {
            max_lag: options.max_lag,
            max_lag_bytes: options.max_lag_bytes,
            when_behind: options.when_behind,
            wait_for_replica: options.wait_for_replica,
            after: WantedPosition::Any,
        }
    }

    /// Whether a server with this position is one that the read may see.
    pub(super) fn is_reached_by(&self, position: Option<&Position>) -> bool {
        match &self.after {
            WantedPosition::Any => true,
            WantedPosition::At(wanted) => {
                position.is_some_and(|position| position.has_reached(wanted))
            }
            WantedPosition::Unknown => false,
        }
    }

    /// Whether a replica is behind the limits of this read. An unknown lag counts as one beyond all limits.
    pub(super) fn is_behind(&self, lag: Option<Duration>, lag_bytes: Option<u64>) -> bool {
        let too_old = self.max_lag.map(|limit| lag.is_none_or(|lag| lag > limit));
        let too_far = self.max_lag_bytes.map(|limit| lag_bytes.is_none_or(|lag| lag > limit));
        match (too_old, too_far) {
            (Some(too_old), Some(too_far)) => too_old && too_far,
            // A limit alone counts alone.
            (Some(alone), None) | (None, Some(alone)) => alone,
            (None, None) => false,
        }
    }
}
