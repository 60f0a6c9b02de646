//! The page's server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum_core::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::time::{Instant, timeout_at};

use super::observer::{Observer, Viewer};
use super::view::Section;

/// How long one stream lasts. A browser opens the next one by itself. A server that shuts down gracefully waits for the
/// end of its responses, so this is how long a viewer can delay it if the registry is not closed before.
const LASTS: Duration = Duration::from_secs(4);

/// How long a browser waits before it opens the next stream.
const RETRY: Duration = Duration::from_millis(200);

/// A response that sends each section when it has changed, until the registry is closed.
pub(super) fn stream(observer: &Arc<Observer>) -> Response {
    let ends = Instant::now() + LASTS;
    let live = Live {
        viewer: observer.watch(ends),
        shown: Vec::new(),
        events: VecDeque::from([Event::default().retry(RETRY)]),
        ends,
        has_ended: false,
    };
    let events = unfold(live, async |mut live| {
        let event = live.next().await?;
        Some((Ok::<_, Infallible>(event), live))
    });
    Sse::new(events).into_response()
}

/// One viewer's stream.
struct Live {
    viewer: Viewer,
    /// The sections that the viewer has.
    shown: Vec<Section>,
    events: VecDeque<Event>,
    ends: Instant,
    has_ended: bool,
}

impl Live {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            if !self.shown.is_empty() {
                self.wait().await;
            }
            self.push_changes();
        }
    }

    /// Waits for something new, or for the end.
    async fn wait(&mut self) {
        let observer = Arc::clone(self.viewer.observer());
        let closed = std::pin::pin!(observer.registry().closed());
        let changed = std::pin::pin!(self.viewer.changed());
        let news = futures_util::future::select(closed, changed);
        self.has_ended = timeout_at(self.ends, news).await.is_err();
    }

    fn push_changes(&mut self) {
        let is_closed = self.viewer.observer().registry().is_closed();
        let frame = if is_closed { self.viewer.last_frame() } else { self.viewer.frame() };
        for section in &frame.sections {
            if !self.shown.contains(section) {
                self.events.push_back(Event::default().event(section.id).data(&section.html));
            }
        }
        self.shown.clone_from(&frame.sections);
        self.events.push_back(Event::default().event("at").data(&frame.at));
        if is_closed {
            self.events.push_back(Event::default().event("closed").data("closed"));
            self.has_ended = true;
        }
    }
}
