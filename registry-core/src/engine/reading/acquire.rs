//! The recipe of a read: from what it asks for to a connection.
//!
//! 1. **Choose** a replica that is fit ([`choice`](super::choice)), by what the probes have found. No question is asked.
//! 2. **Check out** one of its connections, as from any engine. A replica that cannot be reached is out from then on, and
//!    the next one is chosen. So is one that goes down while the caller waits for its connection.
//! 3. **Verify** that the connection leads to the server that the probe has talked to. Otherwise the server is asked on
//!    this connection.
//! 4. If no replica is fit: with `when_behind` `wait` or `error`, **wait** for one, for `wait_for_replica` at most.
//! 5. Then **the primary**, on connections that only read, or an error.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::acquire::AcquireAttempt;
use super::super::checkout::Checkout;
use super::super::engine_use::EngineUse;
use super::super::error::AcquireError;
use super::super::observe::read_transaction::{ReadPlace, ReadTransaction};
use super::super::typed::TypedEngine;
use super::Reading;
use super::choice::choose;
use super::counts::OnPrimary;
use super::member::{Member, in_millis};
use super::replicas::Replicas;
use super::request::{ReadRequest, WantedPosition};
use crate::attribution::own;
use crate::backend::Backend;
use crate::cause::Chain;
use crate::settings::{Role, WhenBehind};

/// How far a read has come without waiting.
pub(crate) enum ReadAttempt<C: Backend> {
    Ready(Checkout<C>),
    /// It has to wait: continue with [`TypedEngine::acquire_read`].
    Started(ReadStart<C>),
}

/// A read that has begun, and has to wait.
pub(crate) struct ReadStart<C: Backend> {
    /// The engine of the bind.
    engine: EngineUse<TypedEngine<C>>,
    /// Where the read has begun to acquire a connection, if it has.
    begun: Option<(Target<C>, AcquireAttempt<C>)>,
}

impl<C: Backend> ReadStart<C> {
    pub(crate) fn new(engine: EngineUse<TypedEngine<C>>) -> Self {
        Self { engine, begun: None }
    }

    pub(crate) fn engine(&self) -> &Arc<TypedEngine<C>> {
        self.engine.engine()
    }
}

/// Where a read goes.
enum Target<C: Backend> {
    Replica(Arc<Member<C>>),
    Primary(OnPrimary),
}

impl<C: Backend> TypedEngine<C> {
    /// Lends a connection for reads at once, if that takes no waiting.
    pub(crate) fn try_acquire_read(
        engine: EngineUse<Self>,
        runtime: &Handle,
        request: &ReadRequest,
        schema: Option<&str>,
    ) -> Result<ReadAttempt<C>, AcquireError> {
        let reading = engine.start_reading(runtime);
        let target = match &reading.replicas {
            None => Target::Primary(OnPrimary::NoneConfigured),
            Some(replicas) => match choose(&replicas.members(), request, &[], replicas.ramp()) {
                Ok(member) => Target::Replica(member),
                Err(why) if request.when_behind == WhenBehind::Primary => Target::Primary(why),
                Err(_) => return Ok(ReadAttempt::Started(ReadStart::new(engine))),
            },
        };
        let on = match &target {
            Target::Replica(member) => &member.engine,
            Target::Primary(_) => match &reading.on_primary {
                Some(on_primary) if !reading.must_look_for_primary() => on_primary,
                _ => return Ok(ReadAttempt::Started(ReadStart::new(engine))),
            },
        };
        let attempt = Self::try_acquire(EngineUse::new(Arc::clone(on)), runtime, schema, None)?;
        let is_ready = match (&attempt, &target) {
            (AcquireAttempt::Ready(checkout), Target::Replica(member)) => {
                !member.engine.reads_in_transactions()
                    && member.is_fit_at(checkout.server_identity(), request)
            }
            (AcquireAttempt::Ready(_), Target::Primary(_)) => {
                !engine.reads_in_transactions() && !reading.must_ask_primary(request)
            }
            _ => false,
        };
        match attempt {
            AcquireAttempt::Ready(mut checkout) if is_ready => {
                reading.note_read(&target);
                checkout.hold(engine);
                Ok(ReadAttempt::Ready(checkout))
            }
            attempt => {
                Ok(ReadAttempt::Started(ReadStart { engine, begun: Some((target, attempt)) }))
            }
        }
    }

    /// Acquires a connection for reads. The limit `wait_limit` (`acquire_timeout` without it) is for all steps together.
    ///
    /// Cancellation: dropping the future gives back what it has, and ends its wait for a replica.
    pub(crate) async fn acquire_read(
        ReadStart { engine, begun }: ReadStart<C>,
        started: Instant,
        wait_limit: Option<Duration>,
        request: &ReadRequest,
        schema: Option<&str>,
    ) -> Result<Checkout<C>, AcquireError> {
        let reading = engine.start_reading(&Handle::current());
        let wait_limit = wait_limit.unwrap_or(engine.settings.options.acquire_timeout);
        let read = Read { reading, engine: &engine, request, schema, started, wait_limit };
        let mut checkout = read.acquire(begun).await?;
        checkout.hold(engine);
        Ok(checkout)
    }
}

impl<C: Backend> Reading<C> {
    /// Whether a read may find on its connection to the primary that this is the primary no longer.
    fn must_ask_primary(&self, request: &ReadRequest) -> bool {
        C::PRIMARY_MAY_BE_DEMOTED && self.replicas.is_some() && request.after != WantedPosition::Any
    }

    /// Whether the server of the bind's URL is no primary any more, so that another one has to be found.
    fn must_look_for_primary(&self) -> bool {
        self.replicas.as_ref().is_some_and(|replicas| replicas.must_look_for_primary())
    }

    fn note_read(&self, target: &Target<C>) {
        match target {
            Target::Replica(member) => {
                member.note_read();
                self.counts.note_on_replica();
            }
            Target::Primary(why) => self.counts.note_on_primary(*why),
        }
    }
}

impl<C: Backend> Replicas<C> {
    /// How long it takes until a replica that has failed gets its full share of reads again.
    pub(super) fn ramp(&self) -> Duration {
        self.settings.options.probe_interval * super::member::PROBES_UNTIL_FULL_SHARE
    }
}

/// A read that waits.
pub(super) struct Read<'r, C: Backend> {
    pub(super) reading: &'r Reading<C>,
    pub(super) engine: &'r EngineUse<TypedEngine<C>>,
    request: &'r ReadRequest,
    schema: Option<&'r str>,
    started: Instant,
    wait_limit: Duration,
}

/// Why no connection to a replica was acquired.
enum Missed {
    /// The replica cannot be used: the next one is tried.
    Unfit,
    Failed(AcquireError),
}

impl<C: Backend> Read<'_, C> {
    async fn acquire(
        &self,
        begun: Option<(Target<C>, AcquireAttempt<C>)>,
    ) -> Result<Checkout<C>, AcquireError> {
        let mut excluded = Vec::new();
        match begun {
            None => {}
            Some((Target::Primary(why), attempt)) => {
                return self.on_primary(why, Some(attempt)).await;
            }
            Some((Target::Replica(member), attempt)) => {
                match self.on_replica(&member, attempt).await {
                    Ok(checkout) => return Ok(checkout),
                    Err(Missed::Failed(error)) => return Err(error),
                    Err(Missed::Unfit) => excluded.push(member),
                }
            }
        }
        let why = match &self.reading.replicas {
            None => OnPrimary::NoneConfigured,
            Some(replicas) => match self.on_any_replica(replicas, &mut excluded).await? {
                Ok(checkout) => return Ok(checkout),
                Err(why) if self.request.when_behind == WhenBehind::Primary => why,
                Err(why) => match self.wait_for_replica(replicas).await? {
                    Some(checkout) => return Ok(checkout),
                    None if self.request.when_behind == WhenBehind::Error => {
                        self.reading.counts.note_refused();
                        return Err(self.replicas_behind(replicas));
                    }
                    None => why,
                },
            },
        };
        self.on_primary(why, None).await
    }

    /// A connection to the first replica that is fit and can be reached, or why there is none.
    async fn on_any_replica(
        &self,
        replicas: &Replicas<C>,
        excluded: &mut Vec<Arc<Member<C>>>,
    ) -> Result<Result<Checkout<C>, OnPrimary>, AcquireError> {
        loop {
            let members = replicas.members();
            let member = match choose(&members, self.request, excluded, replicas.ramp()) {
                Ok(member) => member,
                Err(why) => return Ok(Err(why)),
            };
            let attempt = TypedEngine::try_acquire(
                EngineUse::new(Arc::clone(&member.engine)),
                &Handle::current(),
                self.schema,
                None,
            );
            let missed = match attempt {
                Ok(attempt) => match self.on_replica(&member, attempt).await {
                    Ok(checkout) => return Ok(Ok(checkout)),
                    Err(missed) => missed,
                },
                // Its name leads elsewhere by now, or the engine of the bind is closed.
                Err(AcquireError::Closed { .. }) if !self.engine.is_closed() => Missed::Unfit,
                Err(error) => Missed::Failed(error),
            };
            match missed {
                Missed::Unfit => excluded.push(member),
                Missed::Failed(error) => return Err(error),
            }
        }
    }

    /// Waits for a replica that is fit. `None` after `wait_for_replica`.
    async fn wait_for_replica(
        &self,
        replicas: &Replicas<C>,
    ) -> Result<Option<Checkout<C>>, AcquireError> {
        let waited = Instant::now();
        let limit = self.request.wait_for_replica.min(self.remaining());
        let deadline = waited.checked_add(limit);
        let hurrying = replicas.hurry_while_waiting();
        let waiting = async {
            loop {
                let changed = replicas.changed.notified();
                tokio::pin!(changed);
                // Registered before the replicas are looked at, so that no change in between is missed.
                changed.as_mut().enable();
                if self.engine.is_closed() {
                    return Err(self.engine.closed_error());
                }
                if let Ok(checkout) = self.on_any_replica(replicas, &mut Vec::new()).await? {
                    return Ok(checkout);
                }
                changed.await;
            }
        };
        let outcome = match deadline {
            Some(deadline) => timeout_at(deadline, waiting).await.ok(),
            None => Some(waiting.await),
        };
        drop(hurrying);
        self.reading.counts.note_wait(waited.elapsed());
        outcome.transpose()
    }

    async fn on_replica(
        &self,
        member: &Arc<Member<C>>,
        attempt: AcquireAttempt<C>,
    ) -> Result<Checkout<C>, Missed> {
        let Some(replicas) = &self.reading.replicas else { return Err(Missed::Unfit) };
        let acquiring =
            TypedEngine::acquire(attempt, self.started, Some(self.wait_limit), self.schema);
        let (acquiring, down) = (pin!(acquiring), pin!(goes_down(replicas, member)));
        let Either::Left((acquired, _)) = select(acquiring, down).await else {
            return Err(Missed::Unfit);
        };
        let mut checkout = match acquired {
            Ok(checkout) => checkout,
            // The caller's time is over. That says nothing about the replica.
            Err(error) if self.remaining().is_zero() => return Err(Missed::Failed(error)),
            Err(AcquireError::Connect { source, .. }) => {
                replicas.note_failure(member, &Chain(&*source).to_string());
                return Err(Missed::Unfit);
            }
            Err(AcquireError::Closed { .. }) if !self.engine.is_closed() => {
                return Err(Missed::Unfit);
            }
            Err(error) => return Err(Missed::Failed(error)),
        };
        if member.engine.reads_in_transactions() {
            // Behind the pooler, each transaction may be on another server. So the server is asked in the transaction of
            // the read.
            let limit = self.engine.settings.options.check_timeout;
            if let Err(error) =
                self.keep_from_writing(&mut checkout, ReadPlace::Anywhere, limit).await
            {
                replicas.note_failure(member, &Chain(&error).to_string());
                return Err(Missed::Unfit);
            }
            if !self.is_fit(&mut checkout, replicas, member).await {
                return Err(Missed::Unfit);
            }
        } else if !member.is_fit_at(checkout.server_identity(), self.request)
            && !self.is_fit(&mut checkout, replicas, member).await
        {
            return Err(Missed::Unfit);
        }
        self.reading.note_read(&Target::Replica(Arc::clone(member)));
        Ok(checkout)
    }

    /// Asks on the connection itself whether its server is fit.
    async fn is_fit(
        &self,
        checkout: &mut Checkout<C>,
        replicas: &Replicas<C>,
        member: &Member<C>,
    ) -> bool {
        let losses = member.engine.loss_count();
        let asked = Instant::now();
        match self.server_state(checkout).await {
            Ok(answer) => {
                let identity = answer.identity;
                match checkout.read_transaction() {
                    Some(transaction) if member.engine.reads_in_transactions() => {
                        let place = ReadPlace::Replica(identity);
                        checkout.set_read_transaction(ReadTransaction { place, ..transaction });
                    }
                    _ => checkout.note_server_identity(identity),
                }
                // It is another server than the probe's, and the latest one that was asked.
                replicas.note_answer(member, answer, asked, losses);
                member.is_fit_at(Some(identity), self.request)
            }
            Err(reason) => {
                checkout.discard();
                if !self.remaining().is_zero() {
                    replicas.note_failure(member, &reason);
                }
                false
            }
        }
    }

    async fn server_state(
        &self,
        checkout: &mut Checkout<C>,
    ) -> Result<crate::backend::position::ServerState, String> {
        let limit = self.engine.settings.options.check_timeout.min(self.remaining());
        let effects = checkout.session_effects();
        let answer = timeout(limit, own(checkout.connection_mut().server_state())).await;
        checkout.restore_session_effects(effects);
        match answer {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {}", humantime::format_duration(limit))),
        }
    }

    /// A connection to the primary that only reads.
    async fn on_primary(
        &self,
        why: OnPrimary,
        begun: Option<AcquireAttempt<C>>,
    ) -> Result<Checkout<C>, AcquireError> {
        if let (Some(replicas), true) = (&self.reading.replicas, self.reading.is_kept_off_primary) {
            self.reading.counts.note_refused();
            return Err(self.replicas_behind(replicas));
        }
        if self.may_be_on_silent_primary()
            && let Some(checkout) = self.on_silent_primary(why).await?
        {
            return Ok(checkout);
        }
        let shared = Arc::clone(self.engine.engine());
        let mut begun = begun;
        let mut refused = 0;
        loop {
            let promoted = self.promoted()?;
            let (engine, begun) = match (&promoted, &self.reading.on_primary) {
                (Some(promoted), _) => (Arc::clone(&promoted.engine), None),
                (None, Some(on_primary)) => (Arc::clone(on_primary), begun.take()),
                (None, None) => (Arc::clone(&shared), begun.take()),
            };
            let attempt = match begun {
                Some(attempt) => attempt,
                None => TypedEngine::try_acquire(
                    EngineUse::new(Arc::clone(&engine)),
                    &Handle::current(),
                    self.schema,
                    None,
                )?,
            };
            let acquired =
                TypedEngine::acquire(attempt, self.started, Some(self.wait_limit), self.schema);
            let mut checkout = acquired.await?;
            if let (Some(replicas), true) =
                (&self.reading.replicas, self.reading.must_ask_primary(self.request))
            {
                // Each refused connection is closed, so after these many there was a new one.
                let is_last = refused > engine.settings.options.max_connections;
                let is_promoted = promoted.is_some();
                if !self.is_on_primary(&mut checkout, replicas, is_last, is_promoted).await {
                    if is_last || is_promoted {
                        return Err(self.replicas_behind(replicas));
                    }
                    refused += 1;
                    continue;
                }
            }
            if self.may_write_on(&engine) {
                self.keep_from_writing_on_primary(&mut checkout).await?;
            }
            match promoted {
                Some(member) => self.reading.note_read(&Target::Replica(member)),
                None => self.reading.note_read(&Target::Primary(why)),
            }
            return Ok(checkout);
        }
    }

    /// Whether what the read must be after may be on the server of the bind's URL alone: it does not answer the probe, and
    /// the replica that was promoted has not reached the position.
    fn may_be_on_silent_primary(&self) -> bool {
        let Some(replicas) = &self.reading.replicas else { return false };
        !replicas.has_lost_primary()
            && replicas.promoted().is_some_and(|promoted| !promoted.has_reached(self.request))
    }

    /// A connection to the server of the bind's URL, although it does not answer the probe. `None` if there is none within
    /// `check_timeout`, neither of those for reads nor of those for writes.
    ///
    /// A server that refuses new connections may still take writes on those that it has.
    async fn on_silent_primary(&self, why: OnPrimary) -> Result<Option<Checkout<C>>, AcquireError> {
        let shared = self.engine.engine();
        for engine in self.reading.on_primary.iter().chain([shared]) {
            let started = Instant::now();
            let limit = engine.settings.options.check_timeout.min(self.remaining());
            let attempt = TypedEngine::try_acquire(
                EngineUse::new(Arc::clone(engine)),
                &Handle::current(),
                self.schema,
                None,
            );
            let acquired = match attempt {
                Ok(attempt) => {
                    TypedEngine::acquire(attempt, started, Some(limit), self.schema).await
                }
                Err(error) => Err(error),
            };
            let mut checkout = match acquired {
                Ok(checkout) => checkout,
                Err(_) if self.engine.is_closed() => return Err(self.engine.closed_error()),
                Err(_) => continue,
            };
            if self.may_write_on(engine)
                && self.keep_from_writing_on_primary(&mut checkout).await.is_err()
            {
                continue;
            }
            self.reading.note_read(&Target::Primary(why));
            return Ok(Some(checkout));
        }
        Ok(None)
    }

    /// Asks on the connection itself whether its server is the primary still, or has reached the position anyway. If not,
    /// the connection is closed.
    ///
    /// A replica that is taken for the new primary has to have reached the position, too: one whose replication has stopped,
    /// and that accepts writes, looks like one that was promoted.
    async fn is_on_primary(
        &self,
        checkout: &mut Checkout<C>,
        replicas: &Replicas<C>,
        is_new: bool,
        is_promoted: bool,
    ) -> bool {
        let asked = Instant::now();
        let answer = self.server_state(checkout).await;
        let is_on_primary = answer.as_ref().is_ok_and(|state| {
            let is_reached = || self.request.is_reached_by(state.position.as_ref());
            match (state.role, &self.request.after) {
                (Some(Role::Replica), _) => is_reached(),
                (_, WantedPosition::At(_)) if is_promoted => is_reached(),
                _ => true,
            }
        });
        if !is_on_primary {
            checkout.discard();
            if let (true, false, Ok(state)) = (is_new, is_promoted, answer) {
                replicas.note_primary_answer(state, asked);
            }
        }
        is_on_primary
    }

    /// The replica that has become the primary, if the server of the bind's URL is none any more.
    fn promoted(&self) -> Result<Option<Arc<Member<C>>>, AcquireError> {
        let Some(replicas) = &self.reading.replicas else { return Ok(None) };
        match replicas.promoted() {
            // Nobody knows how far behind this server is.
            None if replicas.has_lost_primary() => Err(self.replicas_behind(replicas)),
            promoted => Ok(promoted),
        }
    }

    fn replicas_behind(&self, replicas: &Replicas<C>) -> AcquireError {
        let now = Instant::now();
        let members = replicas.members();
        let mut reasons: Vec<String> =
            members.iter().map(|member| member.shortcoming(self.request, now)).collect();
        if reasons.is_empty() {
            reasons.push("their hosts are not known yet".to_owned());
        }
        if replicas.has_lost_primary() {
            reasons.push("the server of the bind's own URL is a replica, too".to_owned());
        }
        AcquireError::ReplicasBehind {
            key: self.engine.settings.key,
            after: in_millis(self.started.elapsed()),
            reasons: reasons.join("; "),
        }
    }

    pub(super) fn remaining(&self) -> Duration {
        self.wait_limit.saturating_sub(self.started.elapsed())
    }
}

/// Waits until the probe, or another caller, finds that the replica cannot be used.
async fn goes_down<C: Backend>(replicas: &Replicas<C>, member: &Member<C>) {
    loop {
        let changed = replicas.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if member.is_down() || member.removed.is_set() {
            return;
        }
        changed.await;
    }
}
