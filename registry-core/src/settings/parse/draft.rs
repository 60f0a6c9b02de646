use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::settings::bind_settings::BindSettings;
use crate::settings::error::Problem;
use crate::settings::keys::BindKey;
use crate::settings::options::{OptionLayer, SaidOptions};
use crate::settings::url::{DatabaseUrl, InvalidUrl};
use crate::settings::value::{FromValue, Value, expected};

/// What one layer says, a file or a set of variables, or several laid over each other.
#[derive(Debug, Clone, Default)]
pub(in crate::settings) struct Draft {
    pub(in crate::settings) binds: BTreeMap<BindKey, BindDraft>,
    /// For every engine.
    pub(in crate::settings) options: OptionLayer,
    /// For the engines that are opened on demand, all together.
    pub(in crate::settings) on_demand: OnDemandDraft,
    /// URLs that override those of binds which there are, and make none.
    pub(in crate::settings) overrides: BTreeMap<BindKey, Said<UrlFrom>>,
    pub(in crate::settings) problems: Vec<Problem>,
}

/// What was said about one bind.
#[derive(Debug, Clone)]
pub(in crate::settings) struct BindDraft {
    pub(in crate::settings) place: String,
    pub(in crate::settings) url: Option<Said<UrlFrom>>,
    pub(in crate::settings) password: Option<Said<PasswordFrom>>,
    pub(in crate::settings) required: Option<bool>,
    pub(in crate::settings) tenant_schema: Option<Said<String>>,
    pub(in crate::settings) migrate_url: Option<Said<Result<DatabaseUrl, InvalidUrl>>>,
    pub(in crate::settings) options: OptionLayer,
}

/// What was said about engines that are opened on demand.
#[derive(Debug, Clone, Default)]
pub(in crate::settings) struct OnDemandDraft {
    pub(in crate::settings) max_engines: Option<Said<u32>>,
    pub(in crate::settings) engine_idle_timeout: Option<Said<Option<Duration>>>,
}

/// A value, where it was said, and in which layer, counted from the lowest.
#[derive(Debug, Clone)]
pub(in crate::settings) struct Said<T> {
    pub(in crate::settings) value: T,
    pub(in crate::settings) place: String,
    pub(in crate::settings) layer: usize,
}

#[derive(Debug, Clone)]
pub(in crate::settings) enum UrlFrom {
    Text(Result<DatabaseUrl, InvalidUrl>),
    File(SecretPath),
    /// Said as something that is no text, which is a problem already.
    Refused,
}

#[derive(Debug, Clone)]
pub(in crate::settings) enum PasswordFrom {
    Text(SecretString),
    File(SecretPath),
}

/// The path of a file that has a secret in it. It is not shown, as people write the secret itself there.
pub(in crate::settings) type SecretPath = SecretString;

impl Draft {
    /// Lays `upper` over this.
    pub(in crate::settings) fn overlay(&mut self, upper: Self) {
        self.options.overlay(upper.options);
        self.on_demand.overlay(upper.on_demand);
        self.problems.extend(upper.problems);
        for (key, bind) in upper.binds {
            match self.binds.get_mut(&key) {
                Some(under) => under.overlay(bind),
                None => {
                    self.binds.insert(key, bind);
                }
            }
        }
        for (key, url) in upper.overrides {
            match self.binds.get_mut(&key) {
                Some(bind) => bind.url = Some(url),
                // Kept for the message of a program that has no database at all.
                None => {
                    self.overrides.insert(key, url);
                }
            }
        }
    }
}

impl OnDemandDraft {
    pub(in crate::settings) const FIELDS: [&str; 2] = ["max_engines", "engine_idle_timeout"];

    /// Reads the field `name`, which is one of [`FIELDS`](Self::FIELDS).
    pub(in crate::settings) fn read(
        &mut self,
        name: &str,
        value: &Value,
        place: &str,
        layer: usize,
    ) -> Result<(), String> {
        if name == "max_engines" {
            set(&mut self.max_engines, u32::from_value(value)?, place, layer)
        } else {
            set(&mut self.engine_idle_timeout, FromValue::from_value(value)?, place, layer)
        }
    }

    fn overlay(&mut self, upper: Self) {
        if upper.max_engines.is_some() {
            self.max_engines = upper.max_engines;
        }
        if upper.engine_idle_timeout.is_some() {
            self.engine_idle_timeout = upper.engine_idle_timeout;
        }
    }
}

impl BindDraft {
    /// The keys of a bind's table, beside its options.
    pub(in crate::settings) const FIELDS: [&str; 7] = [
        "url",
        "url_file",
        "password",
        "password_file",
        "required",
        "tenant_schema",
        "migrate_url",
    ];

    pub(in crate::settings) fn new(place: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            url: None,
            password: None,
            required: None,
            tenant_schema: None,
            migrate_url: None,
            options: OptionLayer::default(),
        }
    }

    /// A bind that code says, above every layer of the settings.
    pub(in crate::settings) fn from_code(bind: BindSettings, place: &str) -> Self {
        let said = |name: &str| format!("{place}.{name}");
        Self {
            place: place.to_owned(),
            url: Some(Said { value: UrlFrom::Text(bind.url), place: place.to_owned(), layer: 0 }),
            password: bind.password.map(|password| Said {
                value: PasswordFrom::Text(password),
                place: said("password"),
                layer: 0,
            }),
            required: bind.required,
            tenant_schema: bind.tenant_schema.map(|schema| Said {
                value: schema,
                place: said("tenant_schema"),
                layer: 0,
            }),
            migrate_url: bind.migrate_url.map(|url| Said {
                value: url,
                place: said("migrate_url"),
                layer: 0,
            }),
            options: OptionLayer::new(bind.options, said),
        }
    }

    /// Reads the field or option `name`, if a bind has one of that name.
    pub(in crate::settings) fn read(
        &mut self,
        name: &str,
        value: &Value,
        place: &str,
        layer: usize,
    ) -> Option<Result<(), String>> {
        Some(match name {
            "url" | "url_file" => self.read_url(name, value, place, layer),
            "password" => String::from_value(value).and_then(|password| {
                let password = PasswordFrom::Text(password.into());
                set(&mut self.password, password, place, layer)
            }),
            "password_file" => String::from_value(value).and_then(|file| {
                set(&mut self.password, PasswordFrom::File(file.into()), place, layer)
            }),
            "required" => match (self.required, bool::from_value(value)) {
                (Some(_), Ok(_)) => Err("said twice".to_owned()),
                (None, Ok(required)) => {
                    self.required = Some(required);
                    Ok(())
                }
                (_, Err(message)) => Err(message),
            },
            "tenant_schema" => String::from_value(value)
                .and_then(|schema| set(&mut self.tenant_schema, schema, place, layer)),
            "migrate_url" => match value {
                Value::Text(url) => {
                    set(&mut self.migrate_url, DatabaseUrl::parse(url), place, layer)
                }
                value => Err(expected("the URL of a database", value)),
            },
            _ => return self.options.read(name, value, place),
        })
    }

    /// Every key that a bind's table can have.
    pub(in crate::settings) fn known() -> impl Iterator<Item = &'static str> {
        Self::FIELDS.into_iter().chain(SaidOptions::NAMES.iter().copied())
    }

    fn read_url(
        &mut self,
        name: &str,
        value: &Value,
        place: &str,
        layer: usize,
    ) -> Result<(), String> {
        let (url, read) = match value {
            Value::Text(file) if name == "url_file" => {
                (UrlFrom::File(file.as_str().into()), Ok(()))
            }
            Value::Text(url) => (UrlFrom::Text(DatabaseUrl::parse(url)), Ok(())),
            value => {
                let what = if name == "url" { "the URL of a database" } else { "a path" };
                (UrlFrom::Refused, Err(expected(what, value)))
            }
        };
        set(&mut self.url, url, place, layer)?;
        read
    }

    fn overlay(&mut self, upper: Self) {
        if upper.url.is_some() {
            self.url = upper.url;
        }
        if upper.password.is_some() {
            self.password = upper.password;
        }
        if upper.required.is_some() {
            self.required = upper.required;
        }
        if upper.tenant_schema.is_some() {
            self.tenant_schema = upper.tenant_schema;
        }
        if upper.migrate_url.is_some() {
            self.migrate_url = upper.migrate_url;
        }
        self.options.overlay(upper.options);
    }
}

/// Within one layer everything is said once: nobody could tell which of two URLs was meant.
fn set<T>(slot: &mut Option<Said<T>>, value: T, place: &str, layer: usize) -> Result<(), String> {
    if let Some(before) = slot {
        return Err(format!("said twice: `{}` says it as well", before.place));
    }
    *slot = Some(Said { value, place: place.to_owned(), layer });
    Ok(())
}
