mod pooler;
mod reset_on_return;

pub use pooler::Pooler;
pub use reset_on_return::ResetOnReturn;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serializer;

use crate::settings::bind_settings::BindSettings;
use crate::settings::value::{FromValue, Value};

/// Declares the options once: [`EngineOptions`], the same with every field left out or said, and the
/// setters of [`BindSettings`].
macro_rules! engine_options {
    ($(
        $(#[doc = $doc:literal])*
        $(#[serde($($serde:tt)*)])?
        $name:ident: $type:ty = $default:expr,
        set($value:ident: $argument:ty) $set:expr;
    )*) => {
        /// How an engine behaves: its pool, its time-outs, and what it does with a connection.
        ///
        /// The fields are named as the settings, where a duration is a text with its unit (`"30s"`,
        /// `"500ms"`, `"10min"`), and what can be switched off takes `"none"`. A duration is 100 years at the
        /// most; one that is longer, or that a database cannot count, is an error when the registry is
        /// built.
        ///
        /// ```
        /// use registry_core::EngineOptions;
        ///
        /// let options = EngineOptions { max_connections: 4, ..Default::default() };
        /// assert_eq!(options.acquire_timeout.as_secs(), 30);
        /// ```
        ///
        /// The statements of `on_connect` may have secrets in them: `Debug` shows how many there are, and
        /// serialized each is `"***"`.
        #[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
        pub struct EngineOptions {
            $(
                $(#[doc = $doc])*
                $(#[serde($($serde)*)])?
                pub $name: $type,
            )*
        }

        impl Default for EngineOptions {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl fmt::Debug for EngineOptions {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("EngineOptions")
                    $(.field(stringify!($name), &Shown(&self.$name)))*
                    .finish()
            }
        }

        impl fmt::Debug for SaidOptions {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut said = f.debug_struct("SaidOptions");
                $(if let Some(value) = &self.$name {
                    said.field(stringify!($name), &Shown(value));
                })*
                said.finish()
            }
        }

        /// The options that somebody has said.
        #[derive(Clone, Default)]
        pub(in crate::settings) struct SaidOptions {
            $(pub(in crate::settings) $name: Option<$type>,)*
        }

        impl SaidOptions {
            pub(in crate::settings) const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Reads `value` as the option `name`, which is one of [`NAMES`](Self::NAMES).
            pub(in crate::settings) fn read(&mut self, name: &str, value: &Value) -> Result<(), String> {
                match name {
                    $(stringify!($name) => self.$name = Some(FromValue::from_value(value)?),)*
                    _ => {}
                }
                Ok(())
            }

            /// Lays `upper` over these.
            pub(in crate::settings) fn overlay(&mut self, upper: Self) {
                $(if upper.$name.is_some() {
                    self.$name = upper.$name;
                })*
            }

            /// The names of those that are said.
            pub(in crate::settings) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
                [$(self.$name.is_some().then_some(stringify!($name))),*].into_iter().flatten()
            }

            /// Lays these over `options`.
            pub(in crate::settings) fn apply(&self, options: &mut EngineOptions) {
                $(if let Some(value) = &self.$name {
                    options.$name.clone_from(value);
                })*
            }
        }

        impl From<&EngineOptions> for SaidOptions {
            fn from(options: &EngineOptions) -> Self {
                Self { $($name: Some(options.$name.clone()),)* }
            }
        }

        impl BindSettings {
            $(
                $(#[doc = $doc])*
                #[must_use]
                pub fn $name(mut self, $value: $argument) -> Self {
                    self.options.$name = Some($set);
                    self
                }
            )*
        }
    };
}

engine_options! {
    /// How many connections there can be at once. At least 1; 10 by default.
    ///
    /// Always 1 for SQLite in memory, where each connection would be a database of its own.
    max_connections: u32 = 10,
    set(value: u32) value;

    /// How many idle connections are kept ready. No more than `max_connections`; 0 by default.
    min_idle: u32 = 0,
    set(value: u32) value;

    /// How long a session is waited for, connecting included. 30 seconds by default.
    #[serde(serialize_with = "duration_as_text")]
    acquire_timeout: Duration = Duration::from_secs(30),
    set(value: Duration) value;

    /// How long opening one connection may take. 10 seconds by default.
    #[serde(serialize_with = "duration_as_text")]
    connect_timeout: Duration = Duration::from_secs(10),
    set(value: Duration) value;

    /// After how long without use a connection is checked before it is lent again. 500 milliseconds
    /// by default, which is HikariCP's figure; zero checks it each time.
    #[serde(serialize_with = "duration_as_text")]
    check_idle_after: Duration = Duration::from_millis(500),
    set(value: Duration) value;

    /// How long that check may take. 1 second by default.
    #[serde(serialize_with = "duration_as_text")]
    check_timeout: Duration = Duration::from_secs(1),
    set(value: Duration) value;

    /// After how long without use a connection is closed. 10 minutes by default; `None` never does.
    #[serde(serialize_with = "optional_duration_as_text")]
    idle_timeout: Option<Duration> = Some(Duration::from_secs(10 * 60)),
    set(value: impl Into<Option<Duration>>) value.into();

    /// How old a connection gets, less a random 2.5%, so that connections which were opened together
    /// are not closed together. 30 minutes by default; `None` sets no limit.
    #[serde(serialize_with = "optional_duration_as_text")]
    max_lifetime: Option<Duration> = Some(Duration::from_secs(30 * 60)),
    set(value: impl Into<Option<Duration>>) value.into();

    /// What is undone when a connection comes back. `Auto` by default.
    reset_on_return: ResetOnReturn = ResetOnReturn::Auto,
    set(value: ResetOnReturn) value;

    /// SQL statements that each new connection runs, in this order. None by default.
    ///
    /// They may have secrets in them, and are not shown: where one fails, the error names it by its place.
    #[serde(serialize_with = "statements_as_places")]
    on_connect: Vec<String> = Vec::new(),
    set(statements: impl IntoIterator<Item = impl Into<String>>)
        statements.into_iter().map(Into::into).collect();

    /// How long the server may work on one statement. `None` by default, which sets no limit.
    ///
    /// For PostgreSQL, MySQL and MariaDB, in whole milliseconds: 24 days at the most for PostgreSQL, and 49
    /// for the others. SQLite has none.
    #[serde(serialize_with = "optional_duration_as_text")]
    statement_timeout: Option<Duration> = None,
    set(value: impl Into<Option<Duration>>) value.into();

    /// Whether prepared statements are kept for the next time. `true` by default.
    ///
    /// Behind a transaction pooler it may be on or off: see `pooler`.
    statement_cache: bool = true,
    set(value: bool) value;

    /// The connection pooler between the engine and its server. [`Pooler::None`] by default.
    ///
    /// For PostgreSQL only: PgBouncer with `pool_mode = transaction` is `"transaction"`. What cannot be
    /// had through it is an error when the registry is built, see [`Pooler::Transaction`].
    pooler: Pooler = Pooler::None,
    set(value: Pooler) value;

    /// How many callers may wait for a session; one more is refused at once. `None` by default, which
    /// sets no limit; 0 lets nobody wait.
    queue_limit: Option<u32> = None,
    set(value: impl Into<Option<u32>>) value.into();

    /// Whether the database refuses to be written through this engine. `false` by default.
    read_only: bool = false,
    set(value: bool) value;

    /// A setting of PostgreSQL that has the name of the tenant in each transaction of a unit of work that is begun
    /// through a [`Tenant`](crate::registry::Tenant), for policies of row-level security: `"app.tenant"`, as
    /// `SET LOCAL` would. `None` by default. It is not there outside of units of work.
    ///
    /// For PostgreSQL only, also behind a transaction pooler.
    tenant_setting: Option<String> = None,
    set(name: impl Into<String>) Some(name.into());

    /// From which duration on a statement is logged as slow. `None` by default, which logs none.
    #[serde(serialize_with = "optional_duration_as_text")]
    log_slow_queries: Option<Duration> = None,
    set(value: impl Into<Option<Duration>>) value.into();

    /// How long SQLite waits for a lock that another connection holds. 5 seconds by default.
    ///
    /// For SQLite only, in whole milliseconds; 24 days at the most.
    #[serde(serialize_with = "duration_as_text")]
    busy_timeout: Duration = Duration::from_secs(5),
    set(value: Duration) value;
}

/// Options, and where each of them was said.
#[derive(Debug, Clone, Default)]
pub(in crate::settings) struct OptionLayer {
    pub(in crate::settings) said: SaidOptions,
    places: BTreeMap<&'static str, String>,
}

impl OptionLayer {
    /// Options that code says.
    pub(in crate::settings) fn new(said: SaidOptions, place: impl Fn(&str) -> String) -> Self {
        let places = said.names().map(|name| (name, place(name))).collect();
        Self { said, places }
    }

    /// Reads the option `name`, if there is one.
    pub(in crate::settings) fn read(
        &mut self,
        name: &str,
        value: &Value,
        place: &str,
    ) -> Option<Result<(), String>> {
        let name = SaidOptions::NAMES.iter().find(|known| **known == name)?;
        let read = self.said.read(name, value);
        if read.is_ok() {
            self.places.insert(name, place.to_owned());
        }
        Some(read)
    }

    /// Lays `upper` over this.
    pub(in crate::settings) fn overlay(&mut self, upper: Self) {
        self.said.overlay(upper.said);
        self.places.extend(upper.places);
    }

    /// Where the option `name` was said, if it was.
    pub(in crate::settings) fn place(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(String::as_str)
    }
}

/// The value of an option, as `Debug` shows it.
struct Shown<'a, T>(&'a T);

/// How an option is shown. All are as they are, but for statements.
trait ShowOption: fmt::Debug {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl<T: ShowOption> fmt::Debug for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

impl ShowOption for u32 {}

impl ShowOption for String {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Options are names. A URL in the place of one is refused when the registry is built, and shown before that.
        let is_name = !self.contains([':', '@', '=']);
        fmt::Debug::fmt(if is_name { self.as_str() } else { "***" }, f)
    }
}

impl ShowOption for bool {}
impl ShowOption for Duration {}
impl ShowOption for ResetOnReturn {}
impl ShowOption for Pooler {}

impl<T: ShowOption> ShowOption for Option<T> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => write!(f, "Some({:?})", Shown(value)),
            None => f.write_str("None"),
        }
    }
}

impl ShowOption for Vec<String> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            1 => f.write_str("1 statement"),
            count => write!(f, "{count} statements"),
        }
    }
}

fn statements_as_places<S: Serializer>(
    statements: &[String],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(statements.iter().map(|_| "***"))
}

fn duration_as_text<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*value))
}

fn optional_duration_as_text<S: Serializer>(
    value: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => duration_as_text(value, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_that_the_documentation_promises() {
        let json = serde_json::to_value(EngineOptions::default()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "max_connections": 10,
                "min_idle": 0,
                "acquire_timeout": "30s",
                "connect_timeout": "10s",
                "check_idle_after": "500ms",
                "check_timeout": "1s",
                "idle_timeout": "10m",
                "max_lifetime": "30m",
                "reset_on_return": "auto",
                "on_connect": [],
                "statement_timeout": null,
                "statement_cache": true,
                "pooler": "none",
                "queue_limit": null,
                "read_only": false,
                "tenant_setting": null,
                "log_slow_queries": null,
                "busy_timeout": "5s",
            })
        );
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = SaidOptions::NAMES.to_vec();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn statements_are_counted_and_not_shown() {
        let options = EngineOptions {
            on_connect: vec!["PRAGMA key = 'zauber'".to_owned(), "SELECT 1".to_owned()],
            ..Default::default()
        };
        let json = serde_json::to_value(&options).unwrap();
        assert_eq!(json["on_connect"], serde_json::json!(["***", "***"]));
        let shown = format!("{options:?}");
        assert!(shown.contains("on_connect: 2 statements, statement_timeout: None"), "{shown}");
        let bind = BindSettings::new("sqlite:a.db").on_connect(["PRAGMA key = 'zauber'"]);
        let shown = format!("{bind:?}");
        assert!(shown.contains("SaidOptions { on_connect: 1 statement }"), "{shown}");
    }

    #[test]
    fn what_is_said_wins_and_the_rest_stays() {
        let mut under =
            SaidOptions { max_connections: Some(4), min_idle: Some(2), ..Default::default() };
        under.overlay(SaidOptions {
            min_idle: Some(1),
            idle_timeout: Some(None),
            ..Default::default()
        });
        let mut options =
            EngineOptions { check_timeout: Duration::from_secs(9), ..Default::default() };
        under.apply(&mut options);
        assert_eq!(
            options,
            EngineOptions {
                max_connections: 4,
                min_idle: 1,
                idle_timeout: None,
                check_timeout: Duration::from_secs(9),
                ..Default::default()
            }
        );
    }

    #[test]
    fn every_option_can_be_read() {
        for name in SaidOptions::NAMES {
            let candidates = ["10", "30s", "true", "full", "transaction"];
            let mut said = SaidOptions::default();
            let read = candidates
                .iter()
                .any(|text| said.read(name, &Value::Text((*text).to_owned())).is_ok());
            assert!(read, "{name}");
            assert_eq!(said.names().collect::<Vec<_>>(), [*name]);
        }
    }

    #[test]
    fn an_unknown_reset_names_the_words_and_the_nearest() {
        assert_eq!(
            ResetOnReturn::from_value(&Value::Text("rolback".to_owned())),
            Err("expected \"auto\", \"rollback\" or \"full\", found another text; \
                 did you mean `rollback`?"
                .to_owned())
        );
    }
}
