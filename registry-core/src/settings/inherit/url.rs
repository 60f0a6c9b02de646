//! The URL of a bind, and the password beside it.

use std::path::Path;

use super::secret::{password_of, read_secret};
use super::tls;
use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::parse::draft::{BindDraft, UrlSource, Written};
use crate::settings::url::DatabaseUrl;
use crate::settings::url::tls::TlsMaterial;
use crate::settings::validate::url::{self, CheckUrl};

/// The URL of a bind with its password, and with certificates and a key that options give. A relative path in the URL stays relative.
///
/// For a replica, `bind` is the URL of its bind, which gives what the replica's URL leaves out.
///
/// `Err(None)` means that the problem has been reported already.
pub(super) fn read(
    draft: &BindDraft,
    bind: Option<&DatabaseUrl>,
    folder: &Path,
    material: &TlsMaterial,
    is_enabled: fn(BackendKind) -> bool,
    check_url: CheckUrl,
) -> Result<DatabaseUrl, Option<Problem>> {
    let mut url = written_url(draft, folder, is_enabled)?;
    if let Some(bind) = bind {
        url.value = url
            .value
            .completed_from(bind, material)
            .map_err(|invalid| Problem::new(&url.place, invalid))?;
    }
    url.value = tls::applied(material, url.value, &url.place)?;
    url::check(&url.value, folder, check_url)
        .map_err(|message| Problem::new(&url.place, message))?;
    let url = with_password(draft, url, folder)?;
    Ok(match bind {
        Some(bind) if !url.has_password() => url.with_password_of(bind),
        _ => url,
    })
}

fn written_url(
    draft: &BindDraft,
    folder: &Path,
    is_enabled: fn(BackendKind) -> bool,
) -> Result<Written<DatabaseUrl>, Option<Problem>> {
    let Some(written) = &draft.url else {
        let message = "a bind without a URL: write `url` or `url_file`";
        return Err(Some(Problem::new(&draft.place, message)));
    };
    let url = match &written.value {
        UrlSource::NotText => return Err(None),
        UrlSource::Text(url) => url.clone(),
        UrlSource::File(file) => {
            let text = read_secret(&written.place, file, folder)?;
            DatabaseUrl::parse(text.trim())
        }
    };
    let url = url.map_err(|invalid| Problem::new(&written.place, invalid))?;
    let backend = url.backend();
    if !is_enabled(backend) {
        return Err(Some(feature_is_off(&written.place, backend)));
    }
    Ok(Written { value: url, place: written.place.clone(), layer: written.layer })
}

/// The URL with the password that is written beside it.
///
/// If the URL has a password as well, the password of the upper layer wins: a `DATABASE_URL` with a password of its own
/// replaces the password of the file, and a `DATABASE_URL` without a password is used with the password of the file.
fn with_password(
    draft: &BindDraft,
    url: Written<DatabaseUrl>,
    folder: &Path,
) -> Result<DatabaseUrl, Option<Problem>> {
    let Some(password) = &draft.password else {
        return Ok(url.value);
    };
    let is_overridden = password.layer < url.layer;
    if url.value.backend() == BackendKind::Sqlite {
        // A URL from a variable can be of another backend than the one in the file that it overrides.
        return if is_overridden {
            Ok(url.value)
        } else {
            Err(Some(Problem::new(&password.place, "SQLite has no passwords")))
        };
    }
    if url.value.has_password() {
        if is_overridden {
            return Ok(url.value);
        }
        if password.layer == url.layer {
            let message = format!("given twice: the URL of `{}` has a password as well", url.place);
            return Err(Some(Problem::new(&password.place, message)));
        }
    }
    Ok(match password_of(draft, folder)? {
        Some(password) => url.value.with_password(&password),
        None => url.value,
    })
}

fn feature_is_off(place: &str, backend: BackendKind) -> Problem {
    Problem::new(
        place,
        format!(
            "{backend} needs the feature `{}` of registry-core, which is off: add it to that \
             dependency's `features` in Cargo.toml",
            backend.feature()
        ),
    )
}
