//! The position of a server in its log, for PostgreSQL only as yet.
use crate::settings::Role;
use std::time::Duration;
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Position {
    Postgres { system: u64, timeline: u32, lsn: u64 },
}
impl Position {
    pub(crate) fn has_reached(&self, w: &Self) -> bool {
        let (
            Self::Postgres { system, timeline, lsn },
            Self::Postgres { system: s, timeline: t, lsn: l },
        ) = (self, w);
        system == s && timeline == t && lsn >= l
    }
    pub(crate) fn bytes_behind(&self, w: &Self) -> Option<u64> {
        let (Self::Postgres { lsn, .. }, Self::Postgres { lsn: l, .. }) = (self, w);
        Some(l.saturating_sub(*lsn))
    }
    pub(crate) fn is_of_same_system(&self, w: &Self) -> bool {
        let (Self::Postgres { system, .. }, Self::Postgres { system: s, .. }) = (self, w);
        system == s
    }
}
#[derive(Debug, Clone, Default)]
pub struct ServerState {
    pub(crate) role: Option<Role>,
    pub(crate) position: Option<Position>,
    pub(crate) identity: u64,
    pub(crate) replayed_age: Option<Duration>,
}
#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    recovery: bool,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    system: i64,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    timeline: i32,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    lsn: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    run: String,
}
#[cfg(feature = "postgres")]
pub(crate) async fn pg(c: &mut crate::Postgres) -> diesel::QueryResult<ServerState> {
    use diesel_async::RunQueryDsl;
    let row: Row = diesel::sql_query("SELECT pg_is_in_recovery() recovery, (SELECT system_identifier FROM pg_control_system()) AS system, (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline, ((CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END) - '0/0')::bigint AS lsn, pg_postmaster_start_time()::text || coalesce(inet_server_port()::text,'') AS run").get_result(c).await?;
    use std::hash::{Hash, Hasher};
    let mut h = std::hash::DefaultHasher::new();
    (row.system, &row.run).hash(&mut h);
    let mut lsn = row.lsn as u64;
    if lsn % 8192 == 24 {
        lsn -= 24
    }
    Ok(ServerState {
        role: Some(if row.recovery { Role::Replica } else { Role::Primary }),
        position: Some(Position::Postgres {
            system: row.system as u64,
            timeline: row.timeline as u32,
            lsn,
        }),
        identity: h.finish(),
        replayed_age: None,
    })
}
