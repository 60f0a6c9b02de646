//! A registry behind PgBouncer.

use registry_core::{Registry, Settings};

use crate::support::Server;
use crate::support::pgbouncer::Pooler;

/// A pooler in transaction mode with four server connections.
pub(crate) fn by_transaction(server: &Server) -> Pooler {
    let settings = [
        ("pool_mode", "transaction"),
        ("default_pool_size", "4"),
        // After a failed login to the server, PgBouncer refuses clients for this many seconds.
        ("server_login_retry", "1"),
    ];
    Pooler::before(server, &settings)
}

/// A registry whose bind `main` has `pooler = "transaction"`, the URL and these additional lines of settings.
pub(crate) fn registry(url: &str, lines: &str) -> Registry {
    let text = format!("[binds.main]\nurl = \"{url}\"\npooler = \"transaction\"\n{lines}\n");
    let settings = Settings::from_toml(&text).expect("good settings");
    Registry::from_settings(settings).expect("good settings")
}
