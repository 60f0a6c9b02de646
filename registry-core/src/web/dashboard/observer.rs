//! The task that looks at a registry while somebody looks at its page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::{Either, join3, select};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::activity::{Activities, ActivityReader};
use super::health::HealthBook;
use super::history::History;
use super::verification::{Verification, verify};
use super::view::{Frame, Snapshot};
use crate::registry::Registry;

/// How often the connections are counted. A frame shows the largest counts of its second.
const LOOK: Duration = Duration::from_millis(250);

/// How many looks make a frame.
const LOOKS_PER_FRAME: u32 = 4;

/// The pause between two rounds of questions to the databases, and the limit for their answers. Together they are below
/// two seconds, within which the page says that a database does not answer.
const PAUSE: Duration = Duration::from_millis(800);
const ANSWER_WITHIN: Duration = Duration::from_millis(800);
const _: () = assert!(PAUSE.as_millis() + ANSWER_WITHIN.as_millis() < 2000);

/// How long the task goes on without a viewer. A browser opens its next stream within that time, and nothing is cut short
/// and begun again for each stream.
const LINGER: Duration = Duration::from_secs(1);

/// How long a request for a verification waits for the result. A database that hangs keeps a verification for as long as
/// callers may wait for a connection, and a server that shuts down waits for its requests.
const VERDICT_WITHIN: Duration = Duration::from_secs(2);

/// What the page knows, and the task that keeps it up to date.
///
/// The task runs while there is a [`Viewer`], and ends soon after the end of the last one's stream, or when the registry is closed. What it has
/// seen stays for the next viewer; a chart has a gap where nobody looked.
pub(super) struct Observer {
    registry: Registry,
    known: Mutex<Known>,
    /// Held while the databases are asked, so that they are asked once for all who want to know.
    asking: tokio::sync::Mutex<()>,
    /// Held while a verification runs.
    verifying: Arc<tokio::sync::Mutex<()>>,
    frames: watch::Sender<Arc<Frame>>,
    viewers: Mutex<Viewers>,
}

/// What is known beside the registry's status.
#[derive(Default)]
pub(super) struct Known {
    pub(super) history: History,
    pub(super) health: HealthBook,
    pub(super) verification: Verification,
    /// That of the last second.
    pub(super) activities: Activities,
    asked_at: Option<Instant>,
}

#[derive(Default)]
struct Viewers {
    /// When the last one of them leaves. One that takes nothing of its stream any more does not notice that it is over, and
    /// is none then.
    until: Option<Instant>,
    task: Option<JoinHandle<()>>,
}

impl Viewers {
    /// Whether nobody has looked for so long that the task may end.
    fn are_gone(&self) -> bool {
        self.until.is_none_or(|until| until.elapsed() >= LINGER)
    }
}

impl Observer {
    pub(super) fn new(registry: Registry) -> Arc<Self> {
        Arc::new(Self {
            registry,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            verifying: Arc::default(),
            frames: watch::Sender::new(Arc::default()),
            viewers: Mutex::default(),
        })
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Begins to look. The task runs until the last viewer is gone.
    pub(super) fn watch(self: &Arc<Self>, until: Instant) -> Viewer {
        let mut viewers = self.viewers();
        viewers.until = viewers.until.max(Some(until));
        // Its runtime may have ended, and the task with it. One of a registry that is closed ends at once.
        if viewers.task.as_ref().is_none_or(JoinHandle::is_finished) {
            viewers.task = Some(tokio::spawn(run(Arc::clone(self))));
        }
        drop(viewers);
        self.publish();
        Viewer { observer: Arc::clone(self), frames: self.frames.subscribe() }
    }

    /// The present state, of databases that were asked within the last second.
    pub(super) async fn present(&self) -> Arc<Frame> {
        if !self.registry.is_closed() {
            self.ask_unless_asked_within(PAUSE).await;
        }
        Arc::new(self.frame())
    }

    /// Asks the databases for an answer, unless that was done just now. Whether one of them has ceased to answer, or answers
    /// again.
    async fn ask_unless_asked_within(&self, pause: Duration) -> bool {
        let _asking = self.asking.lock().await;
        let asked_at = self.known().asked_at;
        if asked_at.is_some_and(|at| at.elapsed() < pause) {
            return false;
        }
        let answers = self.registry.check_unless_full(ANSWER_WITHIN).await;
        let mut known = self.known();
        known.asked_at = Some(Instant::now());
        known.health.note(answers, SystemTime::now())
    }

    /// Has `verify` run, unless the last result is only a few seconds old, and waits a while for the result. Callers at the
    /// same time share one run, which goes on when they have left.
    pub(super) async fn verify(self: &Arc<Self>) {
        if let Ok(verifying) = Arc::clone(&self.verifying).try_lock_owned() {
            if self.known().verification.is_recent(SystemTime::now()) || self.registry.is_closed() {
                return;
            }
            let observer = Arc::clone(self);
            tokio::spawn(async move {
                let _verifying = verifying;
                let _running = Running::begin(&observer);
                let closed = std::pin::pin!(observer.registry.closed());
                let verdict = std::pin::pin!(verify(&observer.registry));
                if let Either::Left((verdict, _)) = select(verdict, closed).await {
                    observer.known().verification.last = Some(verdict);
                }
            });
        }
        let _ = timeout(VERDICT_WITHIN, self.verifying.lock()).await;
    }

    /// Whether all connections of a bind are in use.
    fn is_full(&self) -> bool {
        let engines = self.registry.snapshot().engines;
        engines.iter().any(|engine| engine.in_use >= engine.max || engine.waiting > 0)
    }

    fn look(&self) {
        let status = self.registry.snapshot();
        let mut known = self.known();
        status.engines.iter().for_each(|engine| known.history.look(engine));
    }

    /// Ends a second of the charts.
    fn sample(&self, reader: &mut ActivityReader, elapsed: Duration) {
        let (status, now) = (self.registry.snapshot(), Instant::now());
        let snapshot = self.registry.telemetry().activity();
        let activities = reader.read(snapshot, self.registry.bind_keys(), elapsed);
        let mut known = self.known();
        for engine in &status.engines {
            known.history.look(engine);
            known.history.sample(engine.key, now, activities.of_bind(engine.key));
        }
        known.activities = activities;
    }

    fn publish(&self) {
        let frame = Arc::new(self.frame());
        self.frames.send_replace(frame);
    }

    fn frame(&self) -> Frame {
        let known = self.known();
        Frame::new(&Snapshot::of(&self.registry, &known))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn viewers(&self) -> MutexGuard<'_, Viewers> {
        self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verification that runs now. Dropping the future that runs it must not leave the page saying that it runs.
struct Running<'a>(&'a Observer);

impl<'a> Running<'a> {
    fn begin(observer: &'a Observer) -> Self {
        observer.known().verification.is_running = true;
        observer.publish();
        Self(observer)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.known().verification.is_running = false;
        self.0.publish();
    }
}

/// Somebody who looks at the page.
pub(super) struct Viewer {
    observer: Arc<Observer>,
    frames: watch::Receiver<Arc<Frame>>,
}

impl Viewer {
    pub(super) fn observer(&self) -> &Arc<Observer> {
        &self.observer
    }

    /// The newest frame.
    pub(super) fn frame(&mut self) -> Arc<Frame> {
        Arc::clone(&self.frames.borrow_and_update())
    }

    /// A frame of a registry that is closed: nobody makes another one.
    pub(super) fn last_frame(&self) -> Arc<Frame> {
        Arc::new(self.observer.frame())
    }

    /// Waits for a frame that [`frame`](Self::frame) has not returned yet.
    pub(super) async fn changed(&mut self) {
        // The sender is in `observer`, so it is there.
        let _ = self.frames.changed().await;
    }
}

/// Looks at the registry until it is closed, or nobody looks at the page any more.
async fn run(observer: Arc<Observer>) {
    let work = std::pin::pin!(look_while_watched(&observer));
    let closed = std::pin::pin!(observer.registry.closed());
    select(work, closed).await;
    observer.publish();
}

async fn look_while_watched(observer: &Arc<Observer>) {
    loop {
        join3(look_on(observer), ask_on(observer), verify_once(observer)).await;
        let mut viewers = observer.viewers();
        if viewers.are_gone() {
            viewers.task = None;
            return;
        }
    }
}

async fn look_on(observer: &Observer) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut activity = ActivityReader::default();
    activity.read(observer.registry.telemetry().activity(), &[], Duration::ZERO);
    let mut sampled_at = Instant::now();
    while !observer.viewers().are_gone() {
        for _ in 1..LOOKS_PER_FRAME {
            ticks.tick().await;
            observer.look();
        }
        ticks.tick().await;
        observer.sample(&mut activity, sampled_at.elapsed());
        sampled_at = Instant::now();
        observer.publish();
    }
}

async fn ask_on(observer: &Observer) {
    while !observer.viewers().are_gone() {
        if observer.ask_unless_asked_within(Duration::ZERO).await {
            observer.publish();
        }
        sleep(PAUSE).await;
    }
}

/// The first viewer has it verified. Later ones see that result, and may ask for another one.
async fn verify_once(observer: &Arc<Observer>) {
    // It would be one more caller that waits for a connection, and that may time out.
    while observer.is_full() {
        if observer.viewers().are_gone() {
            return;
        }
        sleep(PAUSE).await;
    }
    if observer.known().verification.last.is_none() {
        observer.verify().await;
    }
}
