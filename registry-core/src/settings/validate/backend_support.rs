//! Which backend can honour which option.

use crate::settings::error::Problem;
use crate::settings::keys::{BackendKind, BindKey};
use crate::settings::options::{EngineOptions, OptionLayer, OptionLayers, Pooler};
use crate::settings::url::DatabaseUrl;

/// The options that not every backend can honour. Every other option is honoured by all of them.
const LIMITED_OPTIONS: [LimitedOption; 17] = [
    LimitedOption {
        name: "statement_timeout",
        backends: &[BackendKind::Postgres, BackendKind::Mysql],
        is_used: Use::Unless("none", |options| options.statement_timeout.is_none()),
        noun: Some("statement timeout"),
    },
    LimitedOption {
        name: "busy_timeout",
        backends: &[BackendKind::Sqlite],
        is_used: Use::Always,
        noun: Some("busy timeout"),
    },
    LimitedOption {
        name: "synchronous",
        backends: &[BackendKind::Sqlite],
        is_used: Use::Always,
        noun: None,
    },
    LimitedOption {
        name: "tenant_setting",
        backends: &[BackendKind::Postgres],
        is_used: Use::Unless("none", |options| options.tenant_setting.is_none()),
        noun: None,
    },
    LimitedOption {
        name: "pooler",
        backends: &[BackendKind::Postgres],
        is_used: Use::Unless("none", |options| options.pooler == Pooler::None),
        noun: None,
    },
    tls_option("sslrootcert", |options| options.sslrootcert.is_none()),
    tls_option("sslrootcert_pem", |options| options.sslrootcert_pem.is_none()),
    tls_option("sslcert", |options| options.sslcert.is_none()),
    tls_option("sslcert_pem", |options| options.sslcert_pem.is_none()),
    tls_option("sslkey", |options| options.sslkey.is_none()),
    tls_option("sslkey_pem", |options| options.sslkey_pem.is_none()),
    LimitedOption {
        name: "max_lag_bytes",
        backends: &[BackendKind::Postgres],
        is_used: Use::IfOwn,
        noun: None,
    },
    replica_option("max_lag"),
    replica_option("when_behind"),
    replica_option("wait_for_replica"),
    replica_option("probe_interval"),
    replica_option("max_reads_on_primary"),
];

const fn tls_option(name: &'static str, is_off: fn(&EngineOptions) -> bool) -> LimitedOption {
    LimitedOption {
        name,
        backends: &[BackendKind::Postgres, BackendKind::Mysql],
        is_used: Use::WhereHonoured(is_off),
        noun: Some("TLS"),
    }
}

const fn replica_option(name: &'static str) -> LimitedOption {
    LimitedOption {
        name,
        backends: &[BackendKind::Postgres, BackendKind::Mysql],
        is_used: Use::IfOwn,
        noun: Some("replicas"),
    }
}

struct LimitedOption {
    name: &'static str,
    /// The backends that can honour it.
    backends: &'static [BackendKind],
    is_used: Use,
    /// The feature that the other backends lack, for messages. If it is `None`, the messages use the name of the
    /// option.
    noun: Option<&'static str>,
}

/// Whether an engine asks for an option.
enum Use {
    /// Yes, unless the option is switched off by this word. An option that is written for every engine must be switched
    /// off for each bind that cannot honour it.
    Unless(&'static str, fn(&EngineOptions) -> bool),
    /// The option has a default and cannot be switched off. If it is written for every engine, the binds that cannot
    /// honour it ignore it, and at least one bind must honour it.
    Always,
    /// The same, for an option that can be switched off.
    WhereHonoured(fn(&EngineOptions) -> bool),
    /// Only a bind's own. If it is written for every engine, it is for those that have replicas, of which there may be
    /// none: on a developer's machine, all databases may be SQLite.
    IfOwn,
}

/// Reports the options of one engine that its backend cannot honour.
pub(super) fn check(
    key: BindKey,
    backend: BackendKind,
    options: &EngineOptions,
    layers: &OptionLayers<'_>,
    problems: &mut Vec<Problem>,
) {
    for option in LIMITED_OPTIONS.iter().filter(|option| !option.backends.contains(&backend)) {
        let problem = match (layers.own.place(option.name), &option.is_used) {
            (_, Use::Unless(_, is_off) | Use::WhereHonoured(is_off)) if is_off(options) => continue,
            (Some(place), _) => Problem::new(place, option.refused(backend)),
            (None, Use::Unless(off, _)) => Problem::new(
                layers.place(option.name),
                option.refused_for_every_engine(key, backend, off),
            ),
            (None, Use::Always | Use::WhereHonoured(_) | Use::IfOwn) => continue,
        };
        problems.push(problem);
    }
}

/// Reports the options that are written for every engine and that none of the databases at `urls` can honour.
pub(in crate::settings) fn check_general(
    general: &OptionLayer,
    urls: &[DatabaseUrl],
    problems: &mut Vec<Problem>,
) {
    // If no URL could be read, the backends are not known.
    if urls.is_empty() {
        return;
    }
    let mut options = EngineOptions::default();
    general.options.apply(&mut options);
    let is_asked_for = |option: &&LimitedOption| match option.is_used {
        Use::Unless(..) | Use::IfOwn => false,
        Use::Always => true,
        Use::WhereHonoured(is_off) => !is_off(&options),
    };
    for option in LIMITED_OPTIONS.iter().filter(is_asked_for) {
        if let Some(place) = general.place(option.name)
            && !urls.iter().any(|url| option.backends.contains(&url.backend()))
        {
            problems.push(Problem::new(place, option.refused_by_all()));
        }
    }
}

impl LimitedOption {
    /// The message if the option is written for a bind of a backend that cannot honour it.
    fn refused(&self, backend: BackendKind) -> String {
        match (self.noun, self.backends) {
            (Some(noun), [only]) => format!("{backend} has no {noun}: it is for {only}"),
            (Some(noun), _) => format!("{backend} has no {noun}"),
            (None, _) => {
                format!("`{}` is for {}, and this is {backend}", self.name, self.backend_names())
            }
        }
    }

    /// The message if the option is written for every engine, and not switched off by the word `off` for a bind that
    /// cannot honour it.
    fn refused_for_every_engine(&self, key: BindKey, backend: BackendKind, off: &str) -> String {
        let why = match self.noun {
            Some(noun) => format!("which has no {noun}"),
            None => format!("and `{}` is for {}", self.name, self.backend_names()),
        };
        format!("the bind `{key}` is {backend}, {why}; say \"{off}\" for it")
    }

    /// The message if the option is written for every engine, and no bind can honour it.
    fn refused_by_all(&self) -> String {
        let backends = self.backend_names();
        match self.noun {
            Some(noun) => format!("no database here is {backends}, and the others have no {noun}"),
            None => format!("no database here is {backends}, and `{}` is for it alone", self.name),
        }
    }

    fn backend_names(&self) -> String {
        let names: Vec<String> = self.backends.iter().map(BackendKind::to_string).collect();
        names.join(" or ")
    }
}

#[cfg(test)]
mod tests;
