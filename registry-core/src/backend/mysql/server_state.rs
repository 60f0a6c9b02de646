//! What a server says about itself: its role, its position, its identity.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use diesel::mysql::Mysql as MysqlBackend;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::{QueryResult, QueryableByName};
use diesel_async::RunQueryDsl;

use super::Mysql;
use crate::backend::driver::Driver;
use crate::backend::position::gtid::{Domains, GtidSet};
use crate::backend::position::{Position, ServerIdentity, ServerState, question};
use crate::settings::Role;

/// The role and the position, in one query, which every account may ask.
///
/// MariaDB runs what is in `/*M! */`, and MySQL what is in `/*!50700 */`: MariaDB takes no comments with a version of
/// 5.7 or later for its own (<https://mariadb.com/kb/en/comment-syntax/>).
const STATE: &str = "SELECT @@global.read_only = 1 AS is_read_only, DATABASE() AS current_database, \
     /*M! CAST((SELECT variable_value FROM information_schema.global_status \
     WHERE variable_name = 'SLAVES_RUNNING') AS SIGNED) > 0 */ /*!50700 FALSE */ AS replicates, \
     /*M! @@global.gtid_slave_pos */ /*!50700 NULL */ AS replayed, \
     /*M! @@global.gtid_current_pos */ /*!50700 NULL */ AS domains, \
     /*M! CONCAT(',', @@global.gtid_binlog_pos) REGEXP CONCAT('-', @@global.server_id, '-') */ \
     /*!50700 FALSE */ AS writes, \
     /*M! CONCAT_WS(',', @@global.gtid_slave_pos, @@global.gtid_binlog_state) */ /*!50700 NULL */ AS reached, \
     CAST(@@global.server_id AS SIGNED) AS server_number, \
     /*M! NULL */ /*!50700 @@global.gtid_executed */ AS gtids, \
     CONCAT_WS('/', @@global.hostname, @@global.port, @@global.server_id/*!50700 , @@global.server_uuid */) AS server, \
     CAST(UNIX_TIMESTAMP() AS SIGNED) - CAST((SELECT variable_value FROM \
     /*M! information_schema.global_status */ /*!50700 performance_schema.global_status */ \
     WHERE variable_name = 'UPTIME') AS SIGNED) AS started";

question!(AskState, MysqlBackend, STATE);

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Bool)]
    is_read_only: bool,
    #[diesel(sql_type = Nullable<Text>)]
    current_database: Option<String>,
    #[diesel(sql_type = Nullable<Bool>)]
    replicates: Option<bool>,
    /// Whether the last write of a domain in its log is its own.
    #[diesel(sql_type = Nullable<Bool>)]
    writes: Option<bool>,
    #[diesel(sql_type = Nullable<Text>)]
    replayed: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    domains: Option<String>,
    /// What a primary has reached: all that it has replayed and written.
    #[diesel(sql_type = Nullable<Text>)]
    reached: Option<String>,
    #[diesel(sql_type = BigInt)]
    server_number: i64,
    #[diesel(sql_type = Nullable<Text>)]
    gtids: Option<String>,
    #[diesel(sql_type = Text)]
    server: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    started: Option<i64>,
}

pub(super) async fn server_state(connection: &mut Mysql) -> QueryResult<ServerState> {
    match AskState.get_result::<State>(connection).await {
        Ok(state) => Ok(state.into_server_state()),
        // A server of another kind, which lacks a variable: its position is not known.
        Err(error @ Error::DatabaseError(..)) if !Mysql::is_fatal(&error) => {
            Ok(ServerState::default())
        }
        Err(error) => Err(error),
    }
}

/// MariaDB tells the last commit of the session, and MySQL everything that was ever committed.
const LAST_COMMIT: &str = "SELECT /*M! @@last_gtid */ /*!50700 @@global.gtid_executed */ AS position, \
     /*M! TRUE */ /*!50700 FALSE */ AS is_mariadb, \
     @@session.sql_log_bin = 1 AND @@global.log_bin = 1 AS is_logged";

question!(AskLastCommit, MysqlBackend, LAST_COMMIT);

#[derive(QueryableByName)]
struct LastCommit {
    #[diesel(sql_type = Text)]
    position: String,
    #[diesel(sql_type = Bool)]
    is_mariadb: bool,
    /// Whether what the session writes gets to replicas.
    #[diesel(sql_type = Bool)]
    is_logged: bool,
}

/// The position of the last commit of this session. `None` if it has written nothing.
pub(super) async fn position_of_commit(connection: &mut Mysql) -> QueryResult<Option<Position>> {
    let LastCommit { position, is_mariadb, is_logged } =
        AskLastCommit.get_result(connection).await?;
    if !is_logged {
        return Err(Error::DeserializationError("the session writes no binary log".into()));
    }
    if position.is_empty() && is_mariadb {
        return Ok(None);
    }
    let read = match is_mariadb {
        true => Domains::parse(&position).map(Position::MariaDb),
        false => GtidSet::parse(&position).map(Position::Mysql),
    };
    read.map(Some).ok_or_else(|| Error::DeserializationError("no position".into()))
}

impl State {
    fn into_server_state(self) -> ServerState {
        let mut hasher = DefaultHasher::new();
        self.server.hash(&mut hasher);
        let started = self.started.and_then(|started| started.try_into().ok());
        // A replica that was not made read-only is one as long as it replicates, unless it writes by itself, as a primary in
        // a ring does.
        let replicates = self.replicates == Some(true) && self.writes != Some(true);
        let is_replica = self.is_read_only || replicates;
        // What a replica has in its own binary log, or was told to be its position, it need not have replayed.
        let domains = if is_replica { self.replayed } else { self.domains };
        let position = match (domains, self.gtids) {
            (Some(domains), _) => Domains::parse(&domains).map(|domains| {
                let of_primary = (self.reached, self.server_number.try_into());
                Position::MariaDb(match of_primary {
                    (Some(reached), Ok(number)) if !is_replica => {
                        domains.of_primary(&reached, number)
                    }
                    _ => domains,
                })
            }),
            (None, Some(gtids)) => GtidSet::parse(&gtids).map(Position::Mysql),
            (None, None) => None,
        };
        ServerState {
            role: Some(if is_replica { Role::Replica } else { Role::Primary }),
            position,
            presumed: None,
            hides_position: false,
            identity: ServerIdentity {
                hash: hasher.finish(),
                started: started.map(Duration::from_secs),
            },
            database: self.current_database,
        }
    }
}
