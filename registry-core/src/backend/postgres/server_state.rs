//! What a server says about itself: its role, its position, its identity.

use std::hash::{DefaultHasher, Hash, Hasher};

use diesel::pg::Pg;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::{QueryResult, QueryableByName};
use diesel_async::RunQueryDsl;

use super::{Postgres, is_in_recovery};
use crate::backend::position::{Position, ServerIdentity, ServerState, question};
use crate::settings::Role;

/// The role and the position, in one query, which every account may ask.
///
/// A standby tells on which timeline it is only while it receives the log, and only to an account that may see that
/// (`pg_read_all_stats`, a part of `pg_monitor`). To all accounts it tells the place and the timeline of its last restart
/// point, which it has certainly replayed. What it has replayed since then may be of a newer timeline.
const STATE: &str = "SELECT r AS is_standby, \
     (SELECT system_identifier FROM pg_catalog.pg_control_system()) AS system, \
     CASE WHEN r THEN (SELECT received_tli::bigint FROM pg_catalog.pg_stat_wal_receiver LIMIT 1) \
     ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(l), 1, 8))::bit(32)::bigint END AS timeline, \
     pg_catalog.pg_wal_lsn_diff(l, '0/0')::bigint AS lsn, \
     (SELECT timeline_id::bigint FROM pg_catalog.pg_control_checkpoint()) AS checkpoint_timeline, \
     (SELECT pg_catalog.pg_wal_lsn_diff(checkpoint_lsn, '0/0')::bigint FROM pg_catalog.pg_control_checkpoint()) \
     AS checkpoint_lsn, \
     pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_receiver, \
     pg_catalog.current_setting('wal_block_size')::bigint AS block_size, \
     pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS segment_size, \
     pg_catalog.current_database()::text AS database, \
     pg_catalog.concat_ws('/', pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()), \
     pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.inet_server_port()) AS run \
     FROM (SELECT r, CASE WHEN r THEN pg_catalog.pg_last_wal_replay_lsn() \
     ELSE pg_catalog.pg_current_wal_insert_lsn() END AS l \
     FROM (SELECT pg_catalog.pg_is_in_recovery() AS r) AS role) AS state";

question!(AskState, Pg, STATE);

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Bool)]
    is_standby: bool,
    #[diesel(sql_type = BigInt)]
    system: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    timeline: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    lsn: Option<i64>,
    #[diesel(sql_type = BigInt)]
    checkpoint_timeline: i64,
    #[diesel(sql_type = BigInt)]
    checkpoint_lsn: i64,
    #[diesel(sql_type = Bool)]
    sees_receiver: bool,
    #[diesel(sql_type = BigInt)]
    block_size: i64,
    #[diesel(sql_type = BigInt)]
    segment_size: i64,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Text)]
    run: String,
}

/// The length of the header of a page of the log, and of the first page of a segment.
const PAGE_HEADER: u64 = 24;
const SEGMENT_HEADER: u64 = 40;

/// The state of the server, on a connection that other statements may share.
pub(super) async fn ask(connection: &mut &Postgres) -> QueryResult<ServerState> {
    AskState.get_result::<State>(connection).await.map(State::into_server_state)
}

pub(super) async fn server_state(connection: &mut Postgres) -> QueryResult<ServerState> {
    match ask(&mut &*connection).await {
        Ok(state) => Ok(state),
        // A database that only speaks PostgreSQL's protocol may lack these functions. Its position is not known then.
        Err(Error::DatabaseError(..)) => {
            let is_standby = is_in_recovery(connection).await?;
            Ok(ServerState { role: Some(role(is_standby)), ..ServerState::default() })
        }
        Err(error) => Err(error),
    }
}

impl State {
    fn into_server_state(self) -> ServerState {
        let mut hasher = DefaultHasher::new();
        (self.system, &self.run).hash(&mut hasher);
        let lsn = self.lsn.and_then(|lsn| self.without_header(lsn));
        let (position, presumed) = match self.timeline {
            Some(timeline) => (self.at(Some(timeline), lsn), None),
            None => {
                let restart_point = Some(self.checkpoint_timeline);
                let certain = self.at(restart_point, self.checkpoint_lsn.try_into().ok());
                (certain, self.at(restart_point, lsn))
            }
        };
        ServerState {
            role: Some(role(self.is_standby)),
            position,
            presumed,
            hides_position: self.is_standby && !self.sees_receiver,
            identity: ServerIdentity { hash: hasher.finish(), started: None },
            database: Some(self.database),
        }
    }

    fn at(&self, timeline: Option<i64>, lsn: Option<u64>) -> Option<Position> {
        let system = self.system.cast_unsigned();
        Some(Position::Postgres { system, timeline: timeline?.try_into().ok()?, lsn: lsn? })
    }

    fn without_header(&self, lsn: i64) -> Option<u64> {
        let block_size = self.block_size.try_into().ok()?;
        let segment_size = self.segment_size.try_into().ok()?;
        Some(without_header(lsn.try_into().ok()?, block_size, segment_size))
    }
}

fn role(is_standby: bool) -> Role {
    if is_standby { Role::Replica } else { Role::Primary }
}

/// The position without the header of a page on which there is nothing else yet.
///
/// At the end of a page, the primary is already behind the header of the next one, and its replicas get there only when
/// something more is written.
fn without_header(lsn: u64, block_size: u64, segment_size: u64) -> u64 {
    let beyond = |size: u64| lsn.checked_rem(size);
    if beyond(segment_size) == Some(SEGMENT_HEADER) {
        lsn - SEGMENT_HEADER
    } else if beyond(block_size) == Some(PAGE_HEADER) {
        lsn - PAGE_HEADER
    } else {
        lsn
    }
}

#[cfg(test)]
mod tests {
    use super::without_header;

    #[test]
    fn a_header_with_nothing_behind_it_does_not_count() {
        const PAGE: u64 = 8192;
        const SEGMENT: u64 = 16 << 20;
        let lsn = |lsn| without_header(lsn, PAGE, SEGMENT);
        assert_eq!(lsn(3 * PAGE), 3 * PAGE);
        assert_eq!(lsn(3 * PAGE + 24), 3 * PAGE);
        assert_eq!(lsn(3 * PAGE + 32), 3 * PAGE + 32);
        assert_eq!(lsn(3 * PAGE + 40), 3 * PAGE + 40, "it is not the first page of a segment");
        assert_eq!(lsn(5 * SEGMENT + 40), 5 * SEGMENT);
        assert_eq!(lsn(0), 0);
    }
}
