//! The examination of a bind's replicas, for `verify` and `check`: on connections of its own, and without the probes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join, join_all};
use tokio::time::timeout;

use super::super::handle::AnyEngine;
use super::super::typed::TypedEngine;
use super::endpoints;
use crate::backend::position::ServerState;
use crate::backend::{Backend, ConnectError};
use crate::cause::DriverError;
use crate::settings::{ReplicaSettings, Role};

/// What the examination of one replica has found.
pub(crate) struct ReplicaCheck {
    /// Its address, or its URL if that is not known.
    pub(crate) host: String,
    /// How many bytes of the log it had not replayed, if that can be known.
    pub(crate) outcome: Result<Option<u64>, ReplicaProblem>,
    /// Whether the account may not see how far it is for certain, so that reads after tokens go elsewhere.
    pub(crate) hides_position: bool,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Why a replica cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplicaProblem {
    #[error("could not connect")]
    Connect(#[source] ConnectError),
    #[error("it does not answer")]
    Check(#[source] DriverError),
    #[error("no answer within {}", humantime::format_duration(*limit))]
    NoAnswer { limit: Duration },
    #[error("it is a primary of its own, not a replica of the bind's primary")]
    Primary,
    #[error("it has the data of another database system than the bind's primary")]
    Foreign,
    #[error("its URL names the database `{own}`, and that of the bind `{primary}`")]
    OtherDatabase { own: String, primary: String },
}

impl ReplicaProblem {
    /// Whether it may go away by itself: a server that is down, not a server that is the wrong one.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_transient(),
            Self::Check(_) | Self::NoAnswer { .. } => true,
            Self::Primary | Self::Foreign | Self::OtherDatabase { .. } => false,
        }
    }
}

impl<C: Backend> TypedEngine<C> {
    /// Connects to each replica, and asks whether it is one. Each of them has `limit` for its answer.
    pub(in crate::engine) fn examine_replicas(
        self: Arc<Self>,
        limit: Option<Duration>,
    ) -> BoxFuture<'static, Vec<ReplicaCheck>> {
        if self.settings.replicas.is_empty() || self.settings.is_isolated {
            return Box::pin(std::future::ready(Vec::new()));
        }
        Box::pin(async move {
            let to_primary = self.settings.for_reads_on_primary().one_off();
            let primary = TypedEngine::<C>::new(Arc::new(to_primary), None);
            let started = Instant::now();
            let replicas = self.settings.replicas.iter();
            let of_each = replicas.map(|replica| ask::<C>(replica, limit, started));
            // All at once: a server that hangs must not use up the time of the others.
            let primary = within(limit, started, state_of(&primary));
            let (primary, answers) = join(primary, join_all(of_each)).await;
            // Why the primary does not answer is the business of the check of the bind itself.
            let primary = primary.ok();
            let judged = |Answer { host, state, took }| {
                let hides_position = state.as_ref().is_ok_and(|state| state.hides_position);
                let outcome = state.and_then(|state| judged(&state, primary.as_ref()));
                ReplicaCheck { host, outcome, hides_position, took }
            };
            answers.into_iter().flatten().map(judged).collect()
        })
    }
}

/// What a server has answered, before it is compared with the primary.
struct Answer {
    host: String,
    state: Result<ServerState, ReplicaProblem>,
    took: Duration,
}

/// Asks each server that the URL of a replica leads to.
async fn ask<C: Backend>(
    replica: &ReplicaSettings,
    limit: Option<Duration>,
    started: Instant,
) -> Vec<Answer> {
    let resolved =
        async { endpoints::resolve::<C>(replica).await.map_err(ReplicaProblem::Connect) };
    let endpoints = match within(limit, started, resolved).await {
        Ok((endpoints, _)) => endpoints,
        Err(problem) => {
            let host = replica.settings.url.to_string();
            return vec![Answer { host, state: Err(problem), took: started.elapsed() }];
        }
    };
    let answers = endpoints.into_iter().map(|endpoint| async move {
        let host = match endpoint.name.as_str() {
            "" => replica.settings.url.to_string(),
            name => name.to_owned(),
        };
        let engine = endpoints::engine_at::<C>(replica, endpoint);
        let state = within(limit, started, state_of(&engine)).await;
        Answer { host, state, took: started.elapsed() }
    });
    join_all(answers).await
}

/// The result of `asking`, unless it is later than `limit` after `started`.
async fn within<T>(
    limit: Option<Duration>,
    started: Instant,
    asking: impl Future<Output = Result<T, ReplicaProblem>>,
) -> Result<T, ReplicaProblem> {
    let Some(limit) = limit else { return asking.await };
    let left = limit.saturating_sub(started.elapsed());
    let in_time = timeout(left, asking).await;
    in_time.unwrap_or(Err(ReplicaProblem::NoAnswer { limit }))
}

async fn state_of<C: Backend>(engine: &TypedEngine<C>) -> Result<ServerState, ReplicaProblem> {
    let options = &AnyEngine::settings(engine).options;
    let connected = Box::pin(engine.connect(options.connect_timeout)).await;
    let mut connected = connected.map_err(ReplicaProblem::Connect)?;
    match timeout(options.check_timeout, connected.connection.server_state()).await {
        Ok(answer) => answer.map_err(|error| ReplicaProblem::Check(error.into())),
        Err(_) => {
            let after = options.check_timeout;
            Err(ReplicaProblem::Check(ConnectError::TimedOut { after }.into()))
        }
    }
}

fn judged(
    state: &ServerState,
    primary: Option<&ServerState>,
) -> Result<Option<u64>, ReplicaProblem> {
    let Some(primary) = primary else { return Ok(None) };
    if let (Some(own), Some(of_primary)) = (&state.position, &primary.position)
        && !own.is_of_same_system(of_primary)
    {
        return Err(ReplicaProblem::Foreign);
    }
    if let (Some(own), Some(of_primary)) = (&state.database, &primary.database)
        && own != of_primary
    {
        return Err(ReplicaProblem::OtherDatabase {
            own: own.clone(),
            primary: of_primary.clone(),
        });
    }
    if state.role == Some(Role::Primary) && !state.identity.is_same(primary.identity) {
        return Err(ReplicaProblem::Primary);
    }
    let replayed = state.presumed.as_ref().or(state.position.as_ref());
    let positions = replayed.zip(primary.position.as_ref());
    Ok(positions.and_then(|(own, of_primary)| own.bytes_behind(of_primary)))
}
