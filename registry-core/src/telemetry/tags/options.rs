//! Which tags a program asks for.

use std::fmt;
use std::sync::Arc;

/// The most bytes of a key.
const LONGEST_KEY: usize = 64;

/// The most bytes of a value, before it is encoded.
pub(super) const LONGEST_VALUE: usize = 256;

/// Tags that are sent with each statement, in a comment at its end, for
/// [`RegistryBuilder::sql_tags`](crate::RegistryBuilder::sql_tags). The database's own views and logs then say who has sent a
/// statement: `pg_stat_activity`, `SHOW PROCESSLIST`, a slow-query log. The format is
/// [sqlcommenter's](https://google.github.io/sqlcommenter/spec/), which the monitoring of many hosted databases reads.
///
/// [`new`](Self::new) has no tags. No bound value is ever in a tag, and the tenant only if it is [asked for](Self::tenant).
///
/// # Prepared statements
///
/// A server prepares each text once. [`application`](Self::application), [`tag`](Self::tag) and [`bind`](Self::bind) are the
/// same in each run of a statement, so it stays prepared. Each combination of tags of scopes, such as
/// [`route`](Self::route), makes another prepared statement of the same query on each connection, so a registry takes 200
/// combinations at most, and leaves out those of later ones, with a warning. A statement with
/// [`traceparent`](Self::traceparent) is never kept.
///
/// # Which statements
///
/// All that are run with [`RunQueryDsl`](crate::RunQueryDsl) on connections of the registry, also each statement of one that is
/// sent in several parts. Not: the methods of diesel-async on a session, [`save_changes`](crate::SaveChangesDsl), `batch_execute`, `BEGIN`, `COMMIT` and savepoints,
/// migrations, and what the registry sends for itself. A statement that has a comment anywhere is sent as it is, as the
/// specification says, and so is one with a semicolon in it, one that begins with `CREATE` or `ALTER`, as a database may
/// keep its text in the catalog, and one with a literal that only the settings of the server can tell the end of.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{Registry, RunQueryDsl, SqlTags, bind_tables};
/// # use registry_core::BindDsl;
///
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "default", backend = Sqlite; events);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder()
///     .bind("default", "sqlite::memory:")
///     .sql_tags(SqlTags::new().application("shop").bind(true))
///     .build()?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// // SELECT `events`.`id` FROM `events` /*application='shop',bind='default'*/
/// events::table.select(events::id).load::<i32>(&registry).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct SqlTags {
    pub(super) fixed: Vec<(String, String)>,
    pub(super) has_bind: bool,
    pub(super) has_tenant: bool,
    /// The keys of tags that scopes set.
    pub(super) of_scope: Vec<String>,
    pub(super) traceparent: Option<Traceparent>,
}

type Traceparent = Arc<dyn Fn() -> Option<String> + Send + Sync>;

impl SqlTags {
    /// No tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tag `application`: the name of the program.
    pub fn application(self, name: impl Into<String>) -> Self {
        self.tag("application", name)
    }

    /// A tag that is the same in all statements: the version, the region. A key has 64 bytes at most, a value 256, and both
    /// are encoded for the comment.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.fixed.push((key.into(), value.into()));
        self
    }

    /// Whether there is a tag `bind`: the key of the bind.
    pub fn bind(mut self, is_on: bool) -> Self {
        self.has_bind = is_on;
        self
    }

    /// Whether there is a tag `tenant`: the name of the tenant, where the connection was acquired for one. Where tenants share
    /// connections, each of them makes prepared statements of its own.
    pub fn tenant(mut self, is_on: bool) -> Self {
        self.has_tenant = is_on;
        self
    }

    /// Whether there is a tag `route`, if the scope of the statement has set one: see
    /// [`Scope::set_tag`](crate::Scope::set_tag), and `ScopeLayer::route` with the feature `axum`.
    pub fn route(self, is_on: bool) -> Self {
        self.with_scope_tag("route", is_on)
    }

    /// Whether there is a tag `controller`, if the scope of the statement has set one, as for [`route`](Self::route).
    pub fn controller(self, is_on: bool) -> Self {
        self.with_scope_tag("controller", is_on)
    }

    /// A tag of any other name that [scopes set](crate::Scope::set_tag): `action`, `job`.
    pub fn scope_tag(self, key: &str) -> Self {
        self.with_scope_tag(key, true)
    }

    fn with_scope_tag(mut self, key: &str, is_on: bool) -> Self {
        self.of_scope.retain(|known| known != key);
        if is_on {
            self.of_scope.push(key.to_owned());
        }
        self
    }

    /// The tag `traceparent`, by which a statement in the database's log is found in a trace.
    ///
    /// `current` returns the `traceparent` of W3C's Trace Context of the current span, if there is one. The program's
    /// tracing library knows it: with `tracing-opentelemetry`, it is made from the context of `tracing::Span::current()`.
    /// `current` is called for each statement, in the statement's own span if somebody listens to that, so it should be quick,
    /// and must not block.
    ///
    /// The tag differs in each statement. So a statement that has it is prepared for that run alone, and is in no cache of
    /// statements, which costs a round trip: only statements of **sampled** spans have it, whose flag in the `traceparent` is
    /// set. Any other text that `current` returns is ignored.
    ///
    /// ```
    /// use registry_core::{Registry, SqlTags};
    ///
    /// # fn traceparent_of_current_span() -> Option<String> { None }
    /// let registry = Registry::builder()
    ///     .bind("default", "sqlite::memory:")
    ///     .sql_tags(SqlTags::new().traceparent(traceparent_of_current_span))
    ///     .build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn traceparent(
        mut self,
        current: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.traceparent = Some(Arc::new(current));
        self
    }

    /// What is wrong with them.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut keys: Vec<&str> = Vec::new();
        if self.has_bind {
            keys.push("bind");
        }
        if self.has_tenant {
            keys.push("tenant");
        }
        let fixed = self.fixed.iter().map(|(key, _)| key.as_str());
        for key in fixed.chain(self.of_scope.iter().map(String::as_str)) {
            if key.is_empty() {
                problems.push("the key of a tag is empty".to_owned());
            } else if key.len() > LONGEST_KEY {
                let start: String = key.chars().take(20).collect();
                problems.push(format!(
                    "the key {start:?}.. of a tag has {} bytes: {LONGEST_KEY} at most",
                    key.len()
                ));
            } else if key.chars().any(char::is_control) {
                problems.push(format!("the key {key:?} of a tag has a control character in it"));
            } else if matches!(key, "traceparent" | "tracestate") {
                problems.push(format!(
                    "the tag {key:?} differs in each statement: use `SqlTags::traceparent`"
                ));
            } else if keys.contains(&key) {
                problems.push(format!("the tag {key:?} is asked for twice"));
            }
            keys.push(key);
        }
        for (key, value) in &self.fixed {
            if value.is_empty() {
                problems.push(format!("the value of the tag {key:?} is empty"));
            } else if value.len() > LONGEST_VALUE {
                problems.push(format!(
                    "the value of the tag {key:?} has {} bytes: {LONGEST_VALUE} at most",
                    value.len()
                ));
            }
        }
        problems
    }
}

impl fmt::Debug for SqlTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlTags")
            .field("fixed", &self.fixed)
            .field("bind", &self.has_bind)
            .field("tenant", &self.has_tenant)
            .field("of_scope", &self.of_scope)
            .field("traceparent", &self.traceparent.is_some())
            .finish()
    }
}
