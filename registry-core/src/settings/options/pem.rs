//! Certificates and keys as PEM, from memory or from a file.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::settings::from_value::{FromValue, expected};
use crate::settings::value::Value;

/// Certificates, or a private key, as a PEM text in memory. `Debug` and serializing do not show it.
///
/// ```
/// use registry_core::settings::Pem;
///
/// let key = Pem::from("-----BEGIN PRIVATE KEY-----\n..");
/// assert_eq!(format!("{key:?}"), "Pem(***)");
/// ```
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct Pem(Arc<SecretString>);

/// What the first line of each PEM text begins with.
const BEGIN: &str = "-----BEGIN";

impl Pem {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl<T: Into<String>> From<T> for Pem {
    fn from(text: T) -> Self {
        Self(Arc::new(SecretString::from(text.into())))
    }
}

impl PartialEq for Pem {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Pem {}

impl Hash for Pem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem(***)")
    }
}

impl serde::Serialize for Pem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl FromValue for Pem {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) if text.contains(BEGIN) => Ok(Self::from(text.as_str())),
            _ => Err(expected("PEM, a text with a line `-----BEGIN ..-----`", value)),
        }
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) if text.contains(BEGIN) => {
                Err("expected the path of a file, and found PEM: the option whose name ends in `_pem` takes that"
                    .to_owned())
            }
            Value::Text(text) if !text.is_empty() => Ok(Self::from(text)),
            _ => Err(expected("the path of a file", value)),
        }
    }
}

/// A path, unless somebody has written PEM in its place, which may be a private key.
pub(in crate::settings) fn shown_path(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(BEGIN) { "***".to_owned() } else { text }
}
