//! A routed query through PgBouncer: in transaction mode, with a bind that declares it, beside session mode.
//!
//! In session mode the server keeps what it has prepared; in transaction mode it parses and plans each time.
//! What is left of the difference shows beside `session-unnamed`, which sends the same messages in session mode.

use registry_core::{BindSettings, Pooler, Registry};

use super::ours::Routed;
use crate::case::{Case, Subject};
use crate::peers::Finds;
use crate::places::Place;

pub(crate) fn case() -> Case {
    let subject = |name, number: usize, pooler| {
        Subject::new(name, move |urls: String| async move {
            let url = urls.split(' ').nth(number).expect("the URLs of both modes");
            let bind = BindSettings::new(url).pooler(pooler);
            let registry = Registry::builder().bind("default", bind).build().expect("a registry");
            Finds(Routed(registry))
        })
    };
    let subjects = [
        subject("ours", 0, Pooler::Transaction),
        subject("session-mode", 1, Pooler::None),
        subject("session-unnamed", 1, Pooler::Transaction),
    ];
    Case::new("pooled-1", 1, Place::Poolers, subjects)
}
