//! The task that looks at a registry while somebody looks at its page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::join3;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

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

/// What the page knows, and the task that keeps it up to date.
///
/// The task runs while there is a [`Viewer`], and ends with the last one, or when the registry is closed. What it has
/// seen stays for the next viewer; a chart has a gap where nobody looked.
pub(super) struct Observer {
    registry: Registry,
    known: Mutex<Known>,
    /// Held while the databases are asked, so that they are asked once for all who want to know.
    asking: tokio::sync::Mutex<()>,
    verifying: tokio::sync::Mutex<()>,
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
    count: usize,
    task: Option<JoinHandle<()>>,
}

impl Observer {
    pub(super) fn new(registry: Registry) -> Arc<Self> {
        Arc::new(Self {
            registry,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            verifying: tokio::sync::Mutex::default(),
            frames: watch::Sender::new(Arc::default()),
            viewers: Mutex::default(),
        })
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Begins to look. The task runs until the last viewer is dropped.
    pub(super) fn watch(self: &Arc<Self>) -> Viewer {
        let mut viewers = self.viewers();
        viewers.count += 1;
        // A task of a registry that was closed has ended, and another one would end at once.
        if viewers.task.is_none() {
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

    /// Runs `verify`, unless the last result is only a few seconds old. Callers at the same time share one result.
    pub(super) async fn verify(&self) {
        let _verifying = self.verifying.lock().await;
        if self.known().verification.is_recent(SystemTime::now()) || self.registry.is_closed() {
            return;
        }
        let running = Running::begin(self);
        let verdict = verify(&self.registry).await;
        self.known().verification.last = Some(verdict);
        drop(running);
    }

    fn look(&self) {
        let status = self.registry.status();
        let mut known = self.known();
        status.engines.iter().for_each(|engine| known.history.look(engine));
    }

    /// Ends a second of the charts.
    fn sample(&self, reader: &mut ActivityReader, elapsed: Duration) {
        let (status, now) = (self.registry.status(), Instant::now());
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

/// Somebody who looks at the page. The drop says that they do not any more.
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

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut viewers = self.observer.viewers();
        viewers.count -= 1;
        if viewers.count == 0
            && let Some(task) = viewers.task.take()
        {
            task.abort();
        }
    }
}

/// Looks at the registry until it is closed. Each step may be cut short: the task is aborted.
async fn run(observer: Arc<Observer>) {
    let work = join3(look_on(&observer), ask_on(&observer), verify_once(&observer));
    futures_util::future::select(std::pin::pin!(work), std::pin::pin!(observer.registry.closed()))
        .await;
    observer.publish();
}

async fn look_on(observer: &Observer) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut activity = ActivityReader::default();
    activity.read(observer.registry.telemetry().activity(), &[], Duration::ZERO);
    let mut sampled_at = Instant::now();
    loop {
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
    loop {
        if observer.ask_unless_asked_within(Duration::ZERO).await {
            observer.publish();
        }
        sleep(PAUSE).await;
    }
}

/// The first viewer has it verified. Later ones see that result, and may ask for another one.
async fn verify_once(observer: &Observer) {
    if observer.known().verification.last.is_none() {
        observer.verify().await;
    }
}
