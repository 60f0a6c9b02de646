//! What the page shows: each section as a template, filled from a snapshot.
//!
//! | file | section |
//! |---|---|
//! | [`summary`] | one sentence: which databases do not answer |
//! | [`binds`] | the engines of the binds, with charts and replicas |
//! | [`on_demand`] | the engines of tenants and URLs |
//! | [`queries`] | slow and recent queries |
//! | [`failures`] | the last errors |
//! | [`verdict`] | what `verify` has said |
//! | [`page`] | the page around them, and the answer to who may not read it |
//! | [`chart`], [`text`] | charts; figures and times as text |
//!
//! HTML is only in the templates (`registry-core/templates/dashboard/`), and askama escapes every text in them.

mod binds;
mod chart;
mod failures;
mod on_demand;
mod page;
mod queries;
mod summary;
mod text;
mod verdict;

use std::sync::Arc;
use std::time::SystemTime;

use askama::Template;
use tokio::time::Instant;

use super::observer::Known;
use crate::registry::{Registry, Status, turns};
use crate::settings::BindKey;
use crate::telemetry::{RecordedQueries, RecordedQuery};

pub(super) use page::Page;

/// What the sections are filled from, at one time.
pub(super) struct Snapshot<'a> {
    pub(super) status: Status,
    pub(super) keys: &'a [BindKey],
    pub(super) known: &'a Known,
    pub(super) queries: RecordedQueries,
    /// The queries that have failed last, since somebody has looked for the first time.
    pub(super) failed: Vec<RecordedQuery>,
    pub(super) is_closed: bool,
    pub(super) at: SystemTime,
    pub(super) now: Instant,
}

impl<'a> Snapshot<'a> {
    pub(super) fn of(registry: &'a Registry, known: &'a Known) -> Self {
        Self {
            status: registry.snapshot(),
            keys: registry.bind_keys(),
            known,
            queries: registry.queries(),
            failed: registry.telemetry().activity().failures,
            is_closed: registry.is_closed(),
            at: SystemTime::now(),
            now: Instant::now(),
        }
    }
}

impl Snapshot<'_> {
    /// A message with the places of databases in place of their URLs, which have users.
    fn without_users(&self, message: &str) -> String {
        let on_demand = self.status.on_demand.engines.iter().map(|open| &open.engine);
        let engines = self.status.engines.iter().chain(on_demand);
        let urls = engines.flat_map(|engine| {
            engine.replicas.iter().map(|replica| &replica.url).chain([&engine.url])
        });
        urls.fold(message.to_owned(), |message, url| {
            message.replace(&url.to_string(), &url.place())
        })
    }
}

/// The sections of the page at one time, as HTML.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// When it was made, as text.
    pub(super) at: String,
    pub(super) sections: Vec<Section>,
}

/// One section, which is the content of the element with that id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) html: Arc<str>,
}

impl Frame {
    pub(super) fn new(snapshot: &Snapshot<'_>) -> Self {
        Self {
            at: text::clock(snapshot.at),
            sections: vec![
                section("summary", &summary::Summary::new(snapshot)),
                section("binds", &binds::Binds::new(snapshot)),
                section("tenants", &on_demand::OnDemand::new(snapshot)),
                section("queries", &queries::Queries::new(snapshot)),
                section("errors", &failures::Failures::new(snapshot)),
                section("verification", &verdict::Verification::new(snapshot)),
            ],
        }
    }

    pub(super) fn section(&self, id: &str) -> &str {
        let found = self.sections.iter().find(|section| section.id == id);
        found.map_or("", |section| &section.html)
    }
}

fn section(id: &'static str, template: &impl Template) -> Section {
    Section { id, html: rendered(template).into() }
}

/// The HTML of a template. A carriage return would end a line of server-sent events, and HTML takes it for white space.
/// A character in a name or a statement that turns the direction of text is shown as its number: it would turn what stands
/// beside it, also out of an element that is isolated.
pub(super) fn rendered(template: &impl Template) -> String {
    // Fails only if a `Display` of ours does, and texts do not.
    let html = template.render().unwrap_or_default().replace('\r', " ");
    if !html.contains(turns) {
        return html;
    }
    let mut shown = String::with_capacity(html.len());
    for character in html.chars() {
        match turns(character) {
            true => shown.extend(character.escape_unicode()),
            false => shown.push(character),
        }
    }
    shown
}
