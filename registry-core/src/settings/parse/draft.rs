//! The settings of one layer, typed, with the place of each setting; and how an upper layer overrides a lower one.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::settings::bind_settings::BindSettings;
use crate::settings::error::Problem;
use crate::settings::from_value::{FromValue, expected};
use crate::settings::keys::BindKey;
use crate::settings::options::{OptionLayer, PartialOptions};
use crate::settings::parse::near_miss::{NearTable, NearVariable};
use crate::settings::url::{DatabaseUrl, InvalidUrl};
use crate::settings::value::Value;

/// The settings of one layer (a file or a set of variables), or of several layers merged.
#[derive(Debug, Clone, Default)]
pub(in crate::settings) struct Draft {
    pub(in crate::settings) binds: BTreeMap<BindKey, BindDraft>,
    /// The table `options`, for every engine.
    pub(in crate::settings) options: OptionLayer,
    /// Limits for all engines together that are opened on demand.
    pub(in crate::settings) on_demand: OnDemandDraft,
    /// The secret that signs tokens.
    pub(in crate::settings) token_key: Option<Written<PasswordSource>>,
    /// URLs from variables such as `ANALYTICS_DATABASE_URL`. They replace the URL of an existing bind, and never create
    /// a bind.
    pub(in crate::settings) overrides: BTreeMap<BindKey, Written<UrlSource>>,
    /// Tables of the application beside `[database]` whose names are nearly the same.
    pub(in crate::settings) near_tables: Vec<NearTable>,
    pub(in crate::settings) near_variables: Vec<NearVariable>,
    pub(in crate::settings) problems: Vec<Problem>,
}

/// The settings of one bind in one layer, or of one replica of a bind. A replica has fewer fields, see
/// [`validate::replica`](crate::settings::validate::replica).
#[derive(Debug, Clone)]
pub(in crate::settings) struct BindDraft {
    /// The place where the bind was written, for problems that concern the whole bind.
    pub(in crate::settings) place: String,
    pub(in crate::settings) url: Option<Written<UrlSource>>,
    pub(in crate::settings) password: Option<Written<PasswordSource>>,
    pub(in crate::settings) required: Option<Written<bool>>,
    pub(in crate::settings) tenant_schema: Option<Written<String>>,
    pub(in crate::settings) migrate_url: Option<Written<Result<DatabaseUrl, InvalidUrl>>>,
    pub(in crate::settings) replicas: Option<Written<Vec<BindDraft>>>,
    /// Only for a replica.
    pub(in crate::settings) weight: Option<Written<u32>>,
    pub(in crate::settings) options: OptionLayer,
}

/// The limits for engines that are opened on demand, in one layer.
#[derive(Debug, Clone, Default)]
pub(in crate::settings) struct OnDemandDraft {
    pub(in crate::settings) max_engines: Option<Written<u32>>,
    pub(in crate::settings) engine_idle_timeout: Option<Written<Option<Duration>>>,
}

/// A value, the place where it was written, and the layer of that place, counted from the lowest.
#[derive(Debug, Clone)]
pub(in crate::settings) struct Written<T> {
    pub(in crate::settings) value: T,
    pub(in crate::settings) place: String,
    pub(in crate::settings) layer: usize,
}

#[derive(Debug, Clone)]
pub(in crate::settings) enum UrlSource {
    Text(Result<DatabaseUrl, InvalidUrl>),
    File(SecretPath),
    /// The value is not a string. That has been reported already.
    NotText,
}

#[derive(Debug, Clone)]
pub(in crate::settings) enum PasswordSource {
    Text(SecretString),
    File(SecretPath),
}

/// The path of a file that contains a secret. It is not shown, because somebody may write the secret itself in place of
/// the path.
pub(in crate::settings) type SecretPath = SecretString;

impl Draft {
    /// Lays `upper` over this layer. The settings of `upper` win.
    pub(in crate::settings) fn overlay(&mut self, upper: Self) {
        self.options.overlay(upper.options);
        self.on_demand.overlay(upper.on_demand);
        if upper.token_key.is_some() {
            self.token_key = upper.token_key;
        }
        self.problems.extend(upper.problems);
        self.near_tables.extend(upper.near_tables);
        self.near_variables.extend(upper.near_variables);
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
                // Kept for the error message if no database is configured, and to warn of a name that is nearly a bind's.
                None => {
                    self.overrides.insert(key, url);
                }
            }
        }
    }
}

impl Draft {
    /// The keys beside the binds that are for all of them together.
    pub(in crate::settings) const FIELDS: [&str; 4] =
        ["max_engines", "engine_idle_timeout", "token_key", "token_key_file"];

    /// Reads the field `name`, which is one of [`FIELDS`](Self::FIELDS).
    pub(in crate::settings) fn read(
        &mut self,
        name: &str,
        value: &Value,
        place: &str,
        layer: usize,
    ) -> Result<(), String> {
        let token_key = |secret: String| match name {
            "token_key" => PasswordSource::Text(secret.into()),
            _ => PasswordSource::File(secret.into()),
        };
        match name {
            "token_key" | "token_key_file" => {
                let key = token_key(String::from_value(value)?);
                set_once(&mut self.token_key, key, place, layer)
            }
            name => self.on_demand.read(name, value, place, layer),
        }
    }
}

impl OnDemandDraft {
    /// Reads the field `name`, which is `max_engines` or `engine_idle_timeout`.
    fn read(&mut self, name: &str, value: &Value, place: &str, layer: usize) -> Result<(), String> {
        if name == "max_engines" {
            set_once(&mut self.max_engines, u32::from_value(value)?, place, layer)
        } else {
            set_once(&mut self.engine_idle_timeout, FromValue::from_value(value)?, place, layer)
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
    /// The keys of a bind's table, except for its options.
    pub(in crate::settings) const FIELDS: [&str; 8] = [
        "url",
        "url_file",
        "password",
        "password_file",
        "required",
        "tenant_schema",
        "migrate_url",
        "replicas",
    ];

    /// Whether `name` is one of these, or `weight`, which only replicas have. In a bind, that is reported when it is
    /// [validated](crate::settings::validate::replica).
    pub(in crate::settings) fn is_field(name: &str) -> bool {
        Self::FIELDS.contains(&name) || name == "weight"
    }

    pub(in crate::settings) fn new(place: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            url: None,
            password: None,
            required: None,
            tenant_schema: None,
            migrate_url: None,
            replicas: None,
            weight: None,
            options: OptionLayer::default(),
        }
    }

    /// A bind from code. It is one layer, and replaces a bind of the same key in the settings.
    pub(in crate::settings) fn from_code(bind: BindSettings, place: &str) -> Self {
        let place_of = |name: &str| format!("{place}.{name}");
        Self {
            place: place.to_owned(),
            url: Some(Written {
                value: UrlSource::Text(bind.url),
                place: place.to_owned(),
                layer: 0,
            }),
            password: bind.password.map(|password| Written {
                value: PasswordSource::Text(password),
                place: place_of("password"),
                layer: 0,
            }),
            required: bind.required.map(|required| Written {
                value: required,
                place: place_of("required"),
                layer: 0,
            }),
            tenant_schema: bind.tenant_schema.map(|schema| Written {
                value: schema,
                place: place_of("tenant_schema"),
                layer: 0,
            }),
            migrate_url: bind.migrate_url.map(|url| Written {
                value: url,
                place: place_of("migrate_url"),
                layer: 0,
            }),
            replicas: (!bind.replicas.is_empty()).then(|| {
                let replicas = bind.replicas.into_iter().enumerate();
                let replicas = replicas.map(|(index, replica)| {
                    Self::from_code(replica, &place_of(&format!("replicas[{index}]")))
                });
                Written { value: replicas.collect(), place: place_of("replicas"), layer: 0 }
            }),
            weight: bind.weight.map(|weight| Written {
                value: weight,
                place: place_of("weight"),
                layer: 0,
            }),
            options: OptionLayer::from_code(bind.options, place_of),
        }
    }

    /// Reads the field or option `name`; `None` if a bind has no field or option with this name.
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
                let password = PasswordSource::Text(password.into());
                set_once(&mut self.password, password, place, layer)
            }),
            "password_file" => String::from_value(value).and_then(|file| {
                set_once(&mut self.password, PasswordSource::File(file.into()), place, layer)
            }),
            "required" => bool::from_value(value)
                .and_then(|required| set_once(&mut self.required, required, place, layer)),
            "weight" => u32::from_value(value)
                .and_then(|weight| set_once(&mut self.weight, weight, place, layer)),
            "tenant_schema" => String::from_value(value)
                .and_then(|schema| set_once(&mut self.tenant_schema, schema, place, layer)),
            "migrate_url" => match value {
                Value::Text(url) => {
                    set_once(&mut self.migrate_url, DatabaseUrl::parse(url), place, layer)
                }
                value => Err(expected("the URL of a database", value)),
            },
            _ => return self.options.read(name, value, place),
        })
    }

    /// The names of all fields and options of a bind.
    pub(in crate::settings) fn field_and_option_names() -> impl Iterator<Item = &'static str> {
        Self::FIELDS.into_iter().chain(PartialOptions::NAMES.iter().copied())
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
                (UrlSource::File(file.as_str().into()), Ok(()))
            }
            Value::Text(url) => (UrlSource::Text(DatabaseUrl::parse(url)), Ok(())),
            value => {
                let what = if name == "url" { "the URL of a database" } else { "a path" };
                (UrlSource::NotText, Err(expected(what, value)))
            }
        };
        set_once(&mut self.url, url, place, layer)?;
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
        if upper.replicas.is_some() {
            self.replicas = upper.replicas;
        }
        if upper.weight.is_some() {
            self.weight = upper.weight;
        }
        self.options.overlay(upper.options);
    }
}

/// Fails if the layer has that setting already: it is unknown which of the two was meant.
pub(in crate::settings) fn set_once<T>(
    slot: &mut Option<Written<T>>,
    value: T,
    place: &str,
    layer: usize,
) -> Result<(), String> {
    if let Some(before) = slot {
        return Err(format!("given twice: `{}` gives it as well", before.place));
    }
    *slot = Some(Written { value, place: place.to_owned(), layer });
    Ok(())
}
