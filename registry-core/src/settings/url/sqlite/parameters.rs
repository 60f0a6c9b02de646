//! The parameters of a SQLite URL.

use std::fmt;

use percent_encoding::{percent_decode_str, percent_encode};

use crate::settings::keys::did_you_mean;
use crate::settings::url::error::InvalidUrl;
use crate::settings::url::stray_parameter::has_secretive_parameter;

/// The parameters of a SQLite URI, see <https://www.sqlite.org/uri.html>.
const KNOWN: [&str; 6] = ["mode", "cache", "immutable", "nolock", "psow", "vfs"];

/// The query of a SQLite URI, checked and decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameters(pub(super) Vec<(&'static str, String)>);

impl Parameters {
    pub(super) fn parse(query: &str) -> Result<Self, InvalidUrl> {
        let mut parameters = Self(Vec::new());
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value =
                percent_decode_str(value).decode_utf8().map_err(|_| InvalidUrl::InvalidPath)?;
            // SQLite ignores parameters that it does not know, so with a misspelt `mode=ro` the database would be writable.
            let Some(name) = KNOWN.into_iter().find(|known| *known == name) else {
                return Err(InvalidUrl::SqliteParameter(format!(
                    "a parameter that SQLite does not have{}; it has {}",
                    did_you_mean(name, KNOWN),
                    KNOWN.join(", ")
                )));
            };
            let values: &[&str] = match name {
                "mode" => &["ro", "rw", "rwc", "memory"],
                "cache" => &["shared", "private"],
                "vfs" => &[],
                _ => &["1", "0", "true", "false", "yes", "no", "on", "off"],
            };
            if !values.is_empty() && !values.contains(&value.as_ref()) {
                return Err(InvalidUrl::SqliteParameter(format!(
                    "the parameter `{name}` is one of {}",
                    values.join(", ")
                )));
            }
            if has_secretive_parameter(&value) {
                return Err(InvalidUrl::StraySeparator);
            }
            if parameters.value(name).is_some() {
                return Err(InvalidUrl::SqliteParameter(format!(
                    "the parameter `{name}` is given twice"
                )));
            }
            parameters.0.push((name, value.into_owned()));
        }
        Ok(parameters)
    }

    /// The parameters for the file of a tenant, which must exist: SQLite does not create it, even if these parameters ask
    /// for that.
    pub(super) fn for_tenant(&self) -> Self {
        match self.value("mode") {
            None | Some("rwc") => self.with_mode("rw"),
            Some(_) => self.clone(),
        }
    }

    pub(super) fn with_mode(&self, mode: &str) -> Self {
        let mut parameters = self.clone();
        match parameters.0.iter_mut().find(|(name, _)| *name == "mode") {
            Some((_, value)) => mode.clone_into(value),
            None => parameters.0.push(("mode", mode.to_owned())),
        }
        parameters
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(value)
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        matches!(self.value(name), Some("1" | "true" | "yes" | "on"))
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let sign = if index == 0 { '?' } else { '&' };
            let value = percent_encode(value.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
            write!(f, "{sign}{name}={value}")?;
        }
        Ok(())
    }
}
