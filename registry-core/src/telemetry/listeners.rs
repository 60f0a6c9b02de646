//! Who listens to queries: the registry, and the scopes that a task is in.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "dashboard")]
use std::sync::OnceLock;

#[cfg(feature = "dashboard")]
use super::activity::{Activity, ActivitySnapshot};
use super::options::RecordOptions;
use super::query::{RecordedQueries, RecordedQuery};
use super::recorder::Recorder;

tokio::task_local! {
    static CURRENT: Arc<Entered>;
}

/// The scopes that a task is in.
#[derive(Debug)]
struct Entered {
    scope: Arc<ScopeTelemetry>,
    outer: Option<Arc<Self>>,
}

impl Entered {
    fn is_recording(&self) -> bool {
        self.scope.recorder.is_on() || self.outer.as_ref().is_some_and(|outer| outer.is_recording())
    }
}

/// What a registry keeps of its queries.
#[derive(Debug)]
pub(crate) struct RegistryTelemetry {
    recorder: Recorder,
    /// Counts queries once somebody looks.
    #[cfg(feature = "dashboard")]
    activity: OnceLock<Activity>,
    /// The options of scopes. `None` if the program has not chosen.
    options: Option<RecordOptions>,
}

impl RegistryTelemetry {
    pub(crate) fn new(options: Option<RecordOptions>) -> Self {
        let recorder = Recorder::of_registry(options.clone().unwrap_or(RecordOptions::from(false)));
        Self {
            recorder,
            #[cfg(feature = "dashboard")]
            activity: OnceLock::new(),
            options,
        }
    }

    /// The same options, for another registry.
    pub(crate) fn of_other_registry(&self) -> Self {
        Self::new(self.options.clone())
    }

    /// What a new scope of the registry keeps. Without a choice of the program, scopes record in debug builds.
    pub(crate) fn new_scope(&self) -> Arc<ScopeTelemetry> {
        let options = self.options.clone();
        let options = options.unwrap_or_else(|| RecordOptions::from(cfg!(debug_assertions)));
        Arc::new(ScopeTelemetry { recorder: Recorder::of_scope(options) })
    }

    pub(crate) fn queries(&self) -> RecordedQueries {
        self.recorder.queries()
    }

    /// What the queries have done since the first call, which begins to count those on connections that are acquired from
    /// then on.
    #[cfg(feature = "dashboard")]
    pub(crate) fn activity(&self) -> ActivitySnapshot {
        self.activity.get_or_init(Activity::default).snapshot()
    }

    fn is_listening(&self) -> bool {
        #[cfg(feature = "dashboard")]
        if self.activity.get().is_some() {
            return true;
        }
        self.recorder.is_on()
    }

    fn record(&self, query: &RecordedQuery, is_transaction_control: bool) {
        #[cfg(feature = "dashboard")]
        if let Some(activity) = self.activity.get() {
            activity.record(query, is_transaction_control);
        }
        if !is_transaction_control {
            self.recorder.record(query);
        }
    }
}

/// What a scope keeps of its queries.
#[derive(Debug)]
pub(crate) struct ScopeTelemetry {
    recorder: Recorder,
}

impl ScopeTelemetry {
    pub(crate) fn queries(&self) -> RecordedQueries {
        self.recorder.queries()
    }

    pub(crate) fn set_options(&self, options: RecordOptions) {
        self.recorder.set_options(options);
    }

    /// Runs `future` in the scope. Its queries are those of the scopes around it, too.
    pub(crate) async fn enter<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let outer = CURRENT.try_with(Arc::clone).ok();
        let entered = Arc::new(Entered { scope: Arc::clone(self), outer });
        CURRENT.scope(entered, future).await
    }
}

/// Those who listen to the queries on one checkout.
#[derive(Clone, Default)]
pub(crate) struct Listeners {
    registry: Option<Arc<RegistryTelemetry>>,
    /// The scopes in which the connection was acquired, or whose unit of work it belongs to.
    scopes: Option<Arc<Entered>>,
}

impl Listeners {
    /// Those who listen to what is run on a connection that the calling task has acquired from a registry. `None` if nobody
    /// does.
    pub(crate) fn current(registry: &Arc<RegistryTelemetry>) -> Option<Self> {
        let scopes = current();
        let registry = registry.is_listening().then(|| Arc::clone(registry));
        (registry.is_some() || scopes.is_some()).then_some(Self { registry, scopes })
    }

    /// Whether one of them records what the calling task runs.
    pub(super) fn is_recording(&self) -> bool {
        self.registry.as_ref().is_some_and(|registry| registry.is_listening())
            || self.scopes.as_ref().is_some_and(|scopes| scopes.is_recording())
            || is_task_recording()
    }

    /// Tells a query to each of them, and to the scopes that the calling task is in.
    pub(super) fn record(&self, query: &RecordedQuery, is_transaction_control: bool) {
        if let Some(registry) = &self.registry {
            registry.record(query, is_transaction_control);
        }
        if is_transaction_control {
            return;
        }
        let mut told: Vec<*const ScopeTelemetry> = Vec::new();
        for entered in [current(), self.scopes.clone()].into_iter().flatten() {
            let mut entered = Some(&entered);
            while let Some(each) = entered {
                if !told.contains(&Arc::as_ptr(&each.scope)) {
                    told.push(Arc::as_ptr(&each.scope));
                    if let Some(repeated) = each.scope.recorder.record(query) {
                        super::event::warn_repeated(query, &repeated);
                    }
                }
                entered = each.outer.as_ref();
            }
        }
    }
}

fn current() -> Option<Arc<Entered>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Whether a scope that the calling task is in records.
pub(super) fn is_task_recording() -> bool {
    CURRENT.try_with(|entered| entered.is_recording()).unwrap_or(false)
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}
