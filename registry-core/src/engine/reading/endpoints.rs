//! The servers behind the hosts and names of a replica's URL, resolved anew.
//!
//! A name may have several addresses, and other ones tomorrow: each address is a server with a position of its own. So
//! each is a member with an engine of its own, which connects to that address alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::typed::TypedEngine;
use super::member::Member;
use super::replicas::Replicas;
use crate::backend::{Backend, ConnectError};
use crate::cause::Chain;
use crate::settings::{Endpoint, EngineOptions, ReplicaSettings};

/// What changed when the names were resolved.
pub(super) struct Refreshed<C: Backend> {
    pub(super) added: Vec<Arc<Member<C>>>,
    pub(super) again: Resolved,
}

/// Whether names have to be resolved again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolved {
    /// All hosts are addresses or sockets.
    Never,
    Again,
}

/// How often names are resolved: the lifetime of most resolvers' answers, or more rarely if the probes are rarer.
pub(super) fn period(options: &EngineOptions) -> Duration {
    options.probe_interval.clamp(Duration::from_secs(1), Duration::from_secs(30))
}

/// Resolves the names in all URLs, and replaces the members by what was found.
///
/// A name that cannot be resolved keeps its members: a resolver that fails must not put all replicas out.
pub(super) async fn refresh<C: Backend>(set: &Arc<Replicas<C>>) -> Refreshed<C> {
    let before = set.members();
    let (mut members, mut added, mut again) = (Vec::new(), Vec::new(), Resolved::Never);
    for (replica, settings) in set.settings.replicas.iter().enumerate() {
        let of_replica = before.iter().filter(|member| member.replica == replica);
        let (endpoints, resolved) = match resolve::<C>(settings).await {
            Ok(resolved) => resolved,
            Err(error) => {
                let reason = Chain(&error).to_string();
                tracing::debug!(
                    target: "registry",
                    bind = %set.settings.key,
                    url = %settings.settings.url,
                    reason,
                    "the hosts of a replica could not be resolved"
                );
                members.extend(of_replica.cloned());
                again = Resolved::Again;
                continue;
            }
        };
        if resolved == Resolved::Again {
            again = Resolved::Again;
        }
        for endpoint in endpoints {
            let known = of_replica.clone().find(|member| member.endpoint == endpoint);
            let member = known.cloned().unwrap_or_else(|| {
                let member = new_member(settings, endpoint, replica);
                added.push(Arc::clone(&member));
                member
            });
            members.push(member);
        }
    }
    let is_changed = !added.is_empty() || members.len() != before.len();
    if is_changed {
        set.set_members(members.into());
    }
    Refreshed { added, again }
}

fn new_member<C: Backend>(
    replica: &ReplicaSettings,
    endpoint: Endpoint,
    index: usize,
) -> Arc<Member<C>> {
    let engine = engine_at(replica, endpoint.clone());
    Arc::new(Member::new(Arc::new(engine), endpoint, index, replica.weight))
}

/// An engine that connects to this server alone.
pub(super) fn engine_at<C: Backend>(
    replica: &ReplicaSettings,
    endpoint: Endpoint,
) -> TypedEngine<C> {
    let mut settings = (*replica.settings).clone();
    settings.endpoint = Some(endpoint);
    TypedEngine::new(Arc::new(settings), None)
}

/// The servers that the URL of a replica leads to.
pub(super) async fn resolve<C: Backend>(
    replica: &ReplicaSettings,
) -> Result<(Vec<Endpoint>, Resolved), ConnectError> {
    let settings = &replica.settings;
    if settings.connector.is_some() {
        // The program connects, and chooses the server.
        return Ok((vec![Endpoint::default()], Resolved::Never));
    }
    let deadline = Instant::now() + settings.options.connect_timeout.min(Duration::from_secs(60));
    let endpoints = C::endpoints(&settings.url, deadline).await?;
    let is_named = endpoints.iter().any(|endpoint| endpoint.is_resolved);
    let resolved = if is_named { Resolved::Again } else { Resolved::Never };
    Ok((endpoints, resolved))
}
