//! A registry behind PgBouncer.

use registry_core::{Registry, Settings};

use crate::support::Server;
use crate::support::pgbouncer::Pooler;

/// One that lends a server connection for a transaction, and has four of them.
pub(crate) fn by_transaction(server: &Server) -> Pooler {
    let settings = [
        ("pool_mode", "transaction"),
        ("default_pool_size", "4"),
        // After a login that failed, it refuses clients for so many seconds.
        ("server_login_retry", "1"),
    ];
    Pooler::before(server, &settings)
}

/// A registry whose bind `main` says that there is such a pooler at `url`, with lines of its own.
pub(crate) fn registry(url: &str, lines: &str) -> Registry {
    let text = format!("[binds.main]\nurl = \"{url}\"\npooler = \"transaction\"\n{lines}\n");
    let settings = Settings::from_toml(&text).expect("good settings");
    Registry::from_settings(settings).expect("good settings")
}
