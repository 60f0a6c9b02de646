//! The position of a server in the log of its primary.
//!
//! | file | contents |
//! |---|---|
//! | this file | [`Position`], and what a server says about itself: [`ServerState`] |
//! | [`gtid`] | positions of MariaDB and MySQL: global transaction identifiers |
//! | [`text`] | the short text of a position |

use std::time::Duration;

use self::gtid::{Domains, GtidSet};
use crate::settings::Role;

pub(crate) mod gtid;
mod text;

/// A position in the log of a primary, of which a replica has replayed everything before it, or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Position {
    Postgres {
        /// The system identifier, which `initdb` chose, and which every replica shares.
        system: u64,
        /// Another one after each failover. A position on another timeline may be of a commit that was lost.
        timeline: u32,
        /// The log sequence number: bytes since the begin of the log.
        lsn: u64,
    },
    MariaDb(Domains),
    Mysql(GtidSet),
}

impl Position {
    /// Whether a server at this position shows everything up to `wanted`.
    pub(crate) fn has_reached(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (
                Self::Postgres { system, timeline, lsn },
                Self::Postgres { system: of_system, timeline: on_timeline, lsn: wanted },
            ) => system == of_system && timeline == on_timeline && lsn >= wanted,
            (Self::MariaDb(own), Self::MariaDb(wanted)) => own.contain(wanted),
            (Self::Mysql(own), Self::Mysql(wanted)) => own.contains(wanted),
            _ => false,
        }
    }

    /// Whether both are of one database system, as far as positions tell.
    pub(crate) fn is_of_same_system(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Postgres { system, .. }, Self::Postgres { system: other, .. }) => {
                system == other
            }
            (Self::MariaDb(_), Self::MariaDb(_)) | (Self::Mysql(_), Self::Mysql(_)) => true,
            _ => false,
        }
    }

    /// Whether a server at this position was promoted after one that was at `before` (PostgreSQL).
    pub(crate) fn is_on_newer_timeline(&self, before: &Self) -> bool {
        match (self, before) {
            (
                Self::Postgres { system, timeline, .. },
                Self::Postgres { system: of_system, timeline: before, .. },
            ) => system == of_system && timeline > before,
            _ => false,
        }
    }

    /// Whether a replica at this position has something that its primary, which was asked later, does not have. So the primary
    /// has lost it, or begun its log anew, and their positions cannot be compared. (Of MySQL it is not known: a replica
    /// may have a commit for which the primary waits still.)
    pub(crate) fn is_ahead_of(&self, primary: &Self) -> bool {
        match (self, primary) {
            (
                Self::Postgres { system, timeline, lsn },
                Self::Postgres { system: of_system, timeline: on_timeline, lsn: primary },
            ) => system == of_system && timeline == on_timeline && lsn > primary,
            (Self::MariaDb(own), Self::MariaDb(primary)) => own.is_ahead_of(primary),
            _ => false,
        }
    }

    /// Whether a server that was at `before`, and has not been started anew, was told to be at an earlier position (MariaDB).
    pub(crate) fn is_set_back_from(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::MariaDb(own), Self::MariaDb(before)) => own.is_set_back_from(before),
            _ => false,
        }
    }

    /// How many bytes of the log lie between this position and that of the primary (PostgreSQL).
    pub(crate) fn bytes_behind(&self, primary: &Self) -> Option<u64> {
        match (self, primary) {
            (
                Self::Postgres { system, timeline, lsn },
                Self::Postgres { system: of_system, timeline: on_timeline, lsn: primary },
            ) if system == of_system && timeline == on_timeline => {
                Some(primary.saturating_sub(*lsn))
            }
            _ => None,
        }
    }

    /// The positions of a replica that was certainly at `before`, and has not been started anew since.
    ///
    /// It has still replayed what it had replayed, and the timeline of what it replays never falls (PostgreSQL).
    pub(crate) fn not_before(self, before: &Self) -> Self {
        match (self, before) {
            (Self::MariaDb(own), Self::MariaDb(before)) => Self::MariaDb(own.not_before(before)),
            (
                Self::Postgres { system, timeline, lsn },
                Self::Postgres { system: of_system, timeline: before_timeline, lsn: before_lsn },
            ) if system == *of_system && (timeline, lsn) < (*before_timeline, *before_lsn) => {
                before.clone()
            }
            (own, _) => own,
        }
    }

    /// The same place, on the timeline of `other` if that is newer (PostgreSQL).
    pub(crate) fn on_newer_timeline_of(self, other: &Self) -> Self {
        match (&self, other) {
            (Self::Postgres { system, lsn, .. }, Self::Postgres { timeline, .. })
                if other.is_on_newer_timeline(&self) =>
            {
                Self::Postgres { system: *system, timeline: *timeline, lsn: *lsn }
            }
            _ => self,
        }
    }

    /// The position after both. Of two that cannot be compared, the newer timeline counts, and else `later`.
    pub(crate) fn merged(&self, later: &Self) -> Self {
        match (self, later) {
            (Self::MariaDb(own), Self::MariaDb(later)) => Self::MariaDb(own.merged(later)),
            (Self::Mysql(own), Self::Mysql(later)) => Self::Mysql(own.merged(later)),
            (
                Self::Postgres { system, timeline, .. },
                Self::Postgres { system: of_system, timeline: on_timeline, .. },
            ) if system == of_system && timeline > on_timeline => self.clone(),
            _ if self.has_reached(later) => self.clone(),
            _ => later.clone(),
        }
    }
}

/// A question about the server, in SQL that never changes. So the driver keeps it prepared, and asks it in one round trip,
/// which it does not with `sql_query`.
#[cfg(any(feature = "postgres", feature = "mysql"))]
macro_rules! question {
    ($name:ident, $backend:ty, $sql:expr) => {
        #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId)]
        struct $name;

        impl diesel::query_builder::Query for $name {
            type SqlType = diesel::sql_types::Untyped;
        }

        impl diesel::query_builder::QueryFragment<$backend> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, $backend>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($sql);
                Ok(())
            }
        }
    };
}
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use question;

/// What a server says about itself.
#[derive(Debug, Clone, Default)]
pub struct ServerState {
    /// `None` if it does not tell.
    pub(crate) role: Option<Role>,
    /// How far it is: a replica has certainly replayed everything before, a primary has committed nothing after. `None` if
    /// it does not tell.
    pub(crate) position: Option<Position>,
    /// How far a replica is if it is still on the timeline on which it was last known to be. `None` if `position` is as
    /// much as there is to know.
    pub(crate) presumed: Option<Position>,
    /// Whether the account may not see how far the replica is for certain.
    pub(crate) hides_position: bool,
    pub(crate) identity: ServerIdentity,
    /// The name of the database that the connection is to. A replica has its primary's.
    pub(crate) database: Option<String>,
}

/// What names a server, and its run since it was started.
///
/// After a start, a server may be at an earlier position than before it. So what was known of one run says nothing of
/// the next one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServerIdentity {
    /// A hash of what names the server, and its run if it names that.
    pub(crate) hash: u64,
    /// When it was started, since the epoch, if it tells that in whole seconds only.
    pub(crate) started: Option<Duration>,
}

/// How far apart two answers about the start of one run may be: both the clock and the uptime are rounded.
const ROUNDING: Duration = Duration::from_secs(2);

impl ServerIdentity {
    /// Whether both are of one run of one server.
    pub(crate) fn is_same(self, other: Self) -> bool {
        let is_same_run = match (self.started, other.started) {
            (Some(own), Some(other)) => own.abs_diff(other) <= ROUNDING,
            (None, None) => true,
            _ => false,
        };
        self.hash == other.hash && is_same_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timeline: u32, lsn: u64) -> Position {
        Position::Postgres { system: 7, timeline, lsn }
    }

    #[test]
    fn a_position_of_another_timeline_or_system_is_not_reached() {
        assert!(at(1, 10).has_reached(&at(1, 10)));
        assert!(at(1, 11).has_reached(&at(1, 10)));
        assert!(!at(1, 9).has_reached(&at(1, 10)));
        assert!(!at(2, 11).has_reached(&at(1, 10)));
        assert!(!at(1, 11).has_reached(&at(2, 10)));
        let foreign = Position::Postgres { system: 8, timeline: 1, lsn: 99 };
        assert!(!foreign.has_reached(&at(1, 10)));
        assert!(!foreign.is_of_same_system(&at(1, 10)));
    }

    #[test]
    fn a_replica_that_does_not_tell_its_timeline_is_where_it_was_seen_for_certain() {
        assert_eq!(at(1, 10).not_before(&at(2, 50)), at(2, 50));
        assert_eq!(at(1, 10).not_before(&at(1, 50)), at(1, 50));
        assert_eq!(at(1, 60).not_before(&at(1, 50)), at(1, 60));
        assert_eq!(at(2, 40).not_before(&at(1, 50)), at(2, 40));
        assert_eq!(at(1, 70).on_newer_timeline_of(&at(2, 50)), at(2, 70));
        assert_eq!(at(2, 70).on_newer_timeline_of(&at(1, 50)), at(2, 70));
    }

    #[test]
    fn the_later_of_two_positions_counts() {
        assert_eq!(at(1, 10).merged(&at(1, 20)), at(1, 20));
        assert_eq!(at(1, 20).merged(&at(1, 10)), at(1, 20));
        assert_eq!(at(1, 20).merged(&at(2, 10)), at(2, 10));
        assert_eq!(at(2, 10).merged(&at(1, 20)), at(2, 10));
    }

    #[test]
    fn a_replica_cannot_be_ahead_of_its_primary() {
        assert!(at(1, 11).is_ahead_of(&at(1, 10)));
        assert!(!at(1, 10).is_ahead_of(&at(1, 10)));
        assert!(!at(1, 11).is_ahead_of(&at(2, 10)), "of another timeline it has less, or more");
        let foreign = Position::Postgres { system: 8, timeline: 1, lsn: 99 };
        assert!(!foreign.is_ahead_of(&at(1, 10)));
    }

    #[test]
    fn a_promoted_server_is_on_a_newer_timeline() {
        assert!(at(2, 5).is_on_newer_timeline(&at(1, 10)));
        assert!(!at(1, 50).is_on_newer_timeline(&at(1, 10)));
        let foreign = Position::Postgres { system: 8, timeline: 2, lsn: 99 };
        assert!(!foreign.is_on_newer_timeline(&at(1, 10)));
    }

    #[test]
    fn the_start_of_a_server_is_known_within_rounding() {
        let started =
            |seconds| ServerIdentity { hash: 1, started: Some(Duration::from_secs(seconds)) };
        assert!(started(100).is_same(started(101)));
        assert!(!started(100).is_same(started(103)));
        assert!(!started(100).is_same(ServerIdentity { hash: 1, started: None }));
    }
}
