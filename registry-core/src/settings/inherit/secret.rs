//! Files with secrets: `password_file`, `url_file` and `token_key_file`.

use std::fs;
use std::io;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::settings::error::Problem;
use crate::settings::parse::draft::{BindDraft, PasswordSource, SecretPath, Written};
use crate::settings::url::is_like_url;

/// The password that is written beside the URL.
pub(super) fn password_of(
    draft: &BindDraft,
    folder: &Path,
) -> Result<Option<SecretString>, Problem> {
    draft.password.as_ref().map(|written| secret_of(written, folder)).transpose()
}

/// The secret that is written, or that is in the file that is named.
pub(super) fn secret_of(
    written: &Written<PasswordSource>,
    folder: &Path,
) -> Result<SecretString, Problem> {
    match &written.value {
        PasswordSource::Text(secret) => Ok(secret.clone()),
        PasswordSource::File(file) => {
            Ok(SecretString::from(read_secret(&written.place, file, folder)?))
        }
    }
}

/// The content of a file without the line break that editors and `echo` leave at its end.
pub(super) fn read_secret(
    place: &str,
    file: &SecretPath,
    folder: &Path,
) -> Result<String, Problem> {
    let file = file.expose_secret();
    let content = fs::read_to_string(folder.join(file)).and_then(|mut text| {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        if text.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
        }
        Ok(text)
    });
    content.map_err(|error| Problem::new(place, unreadable(file, folder, &error)))
}

/// Why a file with a secret cannot be read. The path is left out, because it may be the secret itself.
fn unreadable(file: &str, folder: &Path, error: &io::Error) -> String {
    let begin = if Path::new(file).is_absolute() {
        "it is an absolute path".to_owned()
    } else {
        // `absolute` fails only if there is no current directory.
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        format!("it is a relative path, which begins in {}", folder.display())
    };
    let hint = if is_like_url(file) {
        "; what stands here looks like a URL, and should be the path of a file with a secret in it"
    } else {
        ""
    };
    format!("cannot read the file that is named here: {error}; {begin}{hint}")
}
