//! The settings of one bind, from code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::keys::BackendKind;
use super::options::{
    PartialOptions, Pem, Pooler, ResetOnReturn, Share, Synchronous, WhenBehind, WhenPending,
    WhenUnknown, for_each_option,
};
use super::url::{DatabaseUrl, InvalidUrl};

/// The settings of one database, from code: a URL, and options of its own.
///
/// Without options, a string is enough: `.bind("analytics", "sqlite://analytics.db")`. A setter never fails. Mistakes
/// are reported when the registry is built, together with every other problem.
///
/// There is a setter for each field of [`EngineOptions`](crate::EngineOptions). An option that is set here wins over
/// the table `options` of the settings and over [`RegistryBuilder::options`](crate::RegistryBuilder::options).
///
/// ```
/// use std::time::Duration;
/// use registry_core::BindSettings;
///
/// let reports = BindSettings::new("mysql://app@localhost/reports")
///     .password("s3cret")
///     .max_connections(4)
///     .acquire_timeout(Duration::from_secs(5))
///     .required(false);
/// assert!(!format!("{reports:?}").contains("s3cret"));
/// ```
#[derive(Debug, Clone)]
pub struct BindSettings {
    /// A string that is not a URL is not kept, because it may contain a password.
    pub(super) url: Result<DatabaseUrl, InvalidUrl>,
    pub(super) password: Option<SecretString>,
    pub(super) required: Option<bool>,
    pub(super) tenant_schema: Option<String>,
    pub(super) migrate_url: Option<Result<DatabaseUrl, InvalidUrl>>,
    pub(super) replicas: Vec<BindSettings>,
    /// Only for a replica.
    pub(super) weight: Option<u32>,
    pub(super) options: PartialOptions,
}

impl BindSettings {
    /// The database at `url`, which is a string or a [`DatabaseUrl`].
    ///
    /// A string that is not the URL of a database is an error when the registry is built.
    #[must_use]
    pub fn new(url: impl Into<Self>) -> Self {
        url.into()
    }

    /// The password of the URL's user, in plain characters: nothing needs to be percent-encoded.
    ///
    /// It is an error when the registry is built if the URL has a password as well.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(SecretString::from(password.into()));
        self
    }

    /// Whether the program needs this database. `true` by default; if `false`,
    /// [`verify`](crate::Registry::verify) only warns when it cannot be reached.
    #[must_use]
    pub fn required(mut self, required: bool) -> Self {
        self.required = Some(required);
        self
    }

    /// Gives each tenant a schema of this PostgreSQL database, instead of a database: `{tenant}` in the
    /// text stands for the tenant's name, see [`Tenant`](crate::Tenant).
    #[must_use]
    pub fn tenant_schema(mut self, schema: impl Into<String>) -> Self {
        self.tenant_schema = Some(schema.into());
        self
    }

    /// The URL that migrations connect to, instead of the bind's own: to bypass a [pooler](crate::Pooler), or to log in
    /// as another user. It is a string or a [`DatabaseUrl`].
    ///
    /// It must lead to the same database. If it has no password, it is used with the password of
    /// [`password`](Self::password). If the URL of the bind contains `{tenant}`, this URL must contain it, too.
    #[must_use]
    pub fn migrate_url(mut self, url: impl Into<Self>) -> Self {
        let Self { url, password, .. } = url.into();
        self.migrate_url = Some(match password {
            Some(password) => url.map(|url| url.with_password(&password)),
            None => url,
        });
        self
    }

    /// Adds a replica of this database, from which readers read: a URL, or settings with options of its own.
    ///
    /// What a replica does not have itself, it has from this bind: user, password, name of the database, parameters of
    /// the URL and options. It is always `read_only`.
    ///
    #[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
    #[cfg_attr(feature = "postgres", doc = "```")]
    /// use registry_core::{BindSettings, Registry};
    ///
    /// let shop = BindSettings::new("postgres://app@primary.example/shop")
    ///     .password("s3cret")
    ///     .replica("postgres://replica-1.example")
    ///     .replica(BindSettings::new("postgres://replica-2.example").weight(2).max_connections(20));
    /// let registry = Registry::builder().bind("default", shop).build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn replica(mut self, replica: impl Into<Self>) -> Self {
        self.replicas.push(replica.into());
        self
    }

    /// Adds several replicas, each as [`replica`](Self::replica) does.
    ///
    #[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
    #[cfg_attr(feature = "postgres", doc = "```")]
    /// use registry_core::{BindSettings, Registry};
    ///
    /// let shop = BindSettings::new("postgres://app@primary.example/shop")
    ///     .replicas(["postgres://replica-1.example", "postgres://replica-2.example"]);
    /// let registry = Registry::builder().bind("default", shop).build()?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn replicas(mut self, replicas: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        self.replicas.extend(replicas.into_iter().map(Into::into));
        self
    }

    /// How many of the reads this replica gets, beside the others of its bind: with weights of 1 and 2, the second
    /// gets two of three. 1 by default. With 0 it is only used if no other replica can be.
    ///
    /// It is an error when the registry is built if these are not the settings of a [`replica`](Self::replica).
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// The backend of the URL, if the URL is one.
    pub(crate) fn backend(&self) -> Option<BackendKind> {
        self.url.as_ref().ok().map(DatabaseUrl::backend)
    }

    /// The URL, if nothing else was set.
    pub(crate) fn as_url(&self) -> Option<&DatabaseUrl> {
        let is_url = self.password.is_none()
            && self.required.is_none()
            && self.tenant_schema.is_none()
            && self.migrate_url.is_none()
            && self.replicas.is_empty()
            && self.weight.is_none()
            && self.options.names().next().is_none();
        self.url.as_ref().ok().filter(|_| is_url)
    }

    /// The URL with the password that was set beside it, and no options. A relative path is relative to the current
    /// directory.
    pub(crate) fn into_url(self) -> Result<DatabaseUrl, InvalidUrl> {
        let url = self.url?.resolved_against(Path::new(""));
        Ok(match &self.password {
            Some(password) => url.with_password(password),
            None => url,
        })
    }

    fn from_parsed(url: Result<DatabaseUrl, InvalidUrl>) -> Self {
        Self {
            url,
            password: None,
            required: None,
            tenant_schema: None,
            migrate_url: None,
            replicas: Vec::new(),
            weight: None,
            options: PartialOptions::default(),
        }
    }
}

/// Declares a setter for each option.
macro_rules! declare_setters {
    ($(
        $(#[doc = $doc:literal])*
        $(#[serde($($serde:tt)*)])?
        $name:ident: $type:ty = $default:expr,
        set($value:ident: $argument:ty) $set:expr;
    )*) => {
        /// A setter for each of the [options](crate::EngineOptions).
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

for_each_option!(declare_setters);

impl From<&str> for BindSettings {
    fn from(url: &str) -> Self {
        Self::from_parsed(DatabaseUrl::parse(url))
    }
}

impl From<String> for BindSettings {
    fn from(url: String) -> Self {
        Self::from_parsed(DatabaseUrl::parse(&url))
    }
}

impl From<&DatabaseUrl> for BindSettings {
    fn from(url: &DatabaseUrl) -> Self {
        Self::from_parsed(Ok(url.clone()))
    }
}

impl From<DatabaseUrl> for BindSettings {
    fn from(url: DatabaseUrl) -> Self {
        Self::from_parsed(Ok(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_can_be_switched_off_and_statements_be_given_as_texts() {
        let settings = BindSettings::new("sqlite::memory:")
            .idle_timeout(None)
            .max_lifetime(Duration::from_secs(60))
            .queue_limit(0)
            .on_connect(["PRAGMA cache_size = 1000"]);
        assert_eq!(settings.options.idle_timeout, Some(None));
        assert_eq!(settings.options.max_lifetime, Some(Some(Duration::from_secs(60))));
        assert_eq!(settings.options.queue_limit, Some(Some(0)));
        assert_eq!(settings.options.on_connect, Some(vec!["PRAGMA cache_size = 1000".to_owned()]));
    }

    #[test]
    fn no_password_is_shown() {
        for settings in [
            BindSettings::new("postgres://app:zauber@h/db"),
            BindSettings::new("postgres://app:x@zauber@h/db".to_owned()),
            BindSettings::new(DatabaseUrl::parse("mysql://app:zauber@h/db").unwrap()),
            BindSettings::new("mysql://app@h/db").password("zauber"),
        ] {
            assert!(!format!("{settings:?} {settings:#?}").contains("zauber"));
        }
    }
}
