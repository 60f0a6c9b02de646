//! A routed query through PgBouncer: in transaction mode, with a bind that declares it, beside session mode.
//!
//! In session mode the server keeps what it has prepared; in transaction mode it parses and plans each time.
//! What is left of the difference shows beside `session-unnamed`, which sends the same messages in session mode.

use registry_core::{BindSettings, Pooler, Registry};

use crate::measure::{Case, Subject};
use crate::peers::Finds;
use crate::peers::ours::Routed;
use crate::support::pgbouncer;
use crate::support::server::Server;

/// The case, and the poolers, which must live until it has ended.
pub(crate) fn case(
    server: &Server,
    url: &str,
    wanted: &[String],
) -> Option<(Case, [pgbouncer::Pooler; 2])> {
    const NAME: &str = "pooled-1";

    if !wanted.is_empty() && !wanted.iter().any(|name| name == NAME) {
        return None;
    }
    let poolers = ["transaction", "session"].map(|mode| {
        pgbouncer::Pooler::before(server, &[("pool_mode", mode), ("default_pool_size", "4")])
    });
    let subject = |name, number: usize, pooler| {
        let bind = BindSettings::new(poolers[number].url(url)).pooler(pooler);
        let registry = Registry::builder().bind("default", bind).build().expect("a registry");
        Subject::new(name, 1, move || Finds(Routed(registry.clone())))
    };
    let subjects = vec![
        subject("ours", 0, Pooler::Transaction),
        subject("session-mode", 1, Pooler::None),
        subject("session-unnamed", 1, Pooler::Transaction),
    ];
    Some((Case { name: NAME, tasks: 1, subjects }, poolers))
}
