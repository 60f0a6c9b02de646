//! Whether the engine of a bind can use the program's own way to connect.

use crate::settings::connector::Connector;
use crate::settings::error::Problem;
use crate::settings::keys::{BackendKind, BindKey};
use crate::settings::options::{EngineOptions, Pooler};
use crate::settings::url::DatabaseUrl;

/// Why the connector cannot be used with these settings, if it cannot.
pub(in crate::settings) fn check(
    key: BindKey,
    connector: &Connector,
    url: &DatabaseUrl,
    options: &EngineOptions,
) -> Option<Problem> {
    let (opens, found) = (connector.backend(), url.backend());
    let message = if opens == BackendKind::Sqlite {
        "SQLite has no server to connect to: the engine opens its file; what each connection needs is set by `on_connect`"
            .to_owned()
    } else if opens != found {
        format!("it opens connections to {opens}, and the URL of this bind is for {found}")
    } else if options.pooler == Pooler::Transaction {
        "a bind with `pooler = \"transaction\"` cannot have it: the engine would have to rewrite the messages on a \
         stream that the program owns"
            .to_owned()
    } else {
        return None;
    };
    Some(Problem::new(place(&key), message))
}

/// The place that a problem with a connector names: the call of the builder.
pub(in crate::settings) fn place(key: &str) -> String {
    format!("connect_with({key:?})")
}
