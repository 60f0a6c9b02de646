//! The secret that signs tokens.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::secret::secret_of;
use crate::settings::error::Problem;
use crate::settings::parse::draft::{PasswordSource, Written};

/// The least length of the secret in bytes. A shorter one can be guessed.
const LEAST: usize = 16;

/// The settings win over the builder.
pub(super) fn inherited(
    draft: Option<&Written<PasswordSource>>,
    folder: &Path,
    builder: Option<SecretString>,
    problems: &mut Vec<Problem>,
) -> Option<SecretString> {
    let (key, place) = match draft {
        Some(written) => match secret_of(written, folder) {
            Ok(key) => (key, written.place.as_str()),
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        },
        None => (builder?, "token_key(..)"),
    };
    if key.expose_secret().len() < LEAST {
        let message = format!("too short: the secret that signs tokens has at least {LEAST} bytes");
        problems.push(Problem::new(place, message));
        return None;
    }
    Some(key)
}
