//! The page about the databases: over HTTP, and in a browser.
//!
//! The tests in `browser` need Chromium, and run when they are asked for: `./tests/run.sh --browser`.

mod access;
mod browser;
mod content;
mod rig;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod viewers;
