use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::settings::bind_settings::BindSettings;
use crate::settings::credentials::CredentialSource;
use crate::settings::error::{Problem, SettingsError};
use crate::settings::inherit::resolve::EngineSettings;
use crate::settings::keys::BackendKind;
use crate::settings::keys::BindKey;
use crate::settings::options::EngineOptions;
use crate::settings::options::OptionLayer;
use crate::settings::parse::draft::{BindDraft, PasswordFrom, Said, SecretPath, UrlFrom};
use crate::settings::url::DatabaseUrl;
use crate::settings::url::{TENANT_PLACEHOLDER, is_like_url};
use crate::settings::validate::backend_support::{Layers, fitted};
use crate::settings::validate::ranges::check_ranges;
use crate::settings::validate::{migrate_url, pooler};

/// How the settings of an engine are made of what is said about its bind and about all: when the
/// registry is built, and for those engines that are opened or replaced later.
#[derive(Clone)]
pub(crate) struct BindDefaults {
    /// What the bind itself says.
    pub(in crate::settings) own: BTreeMap<BindKey, Own>,
    pub(in crate::settings) general: OptionLayer,
    pub(in crate::settings) base_layer: OptionLayer,
    pub(in crate::settings) base: EngineOptions,
    pub(in crate::settings) credentials: BTreeMap<BindKey, CredentialSource>,
    pub(in crate::settings) is_enabled: fn(BackendKind) -> bool,
    pub(in crate::settings) check_url: fn(&DatabaseUrl) -> Result<(), String>,
    /// Whether nothing is ever committed on the engines that are made.
    pub(in crate::settings) is_isolated: bool,
}

/// What a bind says of itself, beside its URL.
#[derive(Debug, Default, Clone)]
pub(in crate::settings) struct Own {
    pub(in crate::settings) options: OptionLayer,
    pub(in crate::settings) required: Option<bool>,
}

impl BindDefaults {
    /// The settings of an engine for the bind `key`, at another place: what `bind` does not say is
    /// as the bind itself has it.
    pub(crate) fn engine_settings(
        &self,
        key: BindKey,
        bind: BindSettings,
    ) -> Result<EngineSettings, SettingsError> {
        let place = format!("settings of {:?}", key.as_str());
        match self.tenant_engine_settings(key, bind)? {
            engine if self.is_isolated && engine.url.backend() == BackendKind::Sqlite => {
                let message = "in test isolation, only the binds of the settings have copies";
                Err(SettingsError::from_problems(vec![Problem::new(place, message)]))
            }
            engine => Ok(engine),
        }
    }

    /// The same for a tenant, whose SQLite database has a copy in test isolation: these are the settings of
    /// the original.
    pub(crate) fn tenant_engine_settings(
        &self,
        key: BindKey,
        bind: BindSettings,
    ) -> Result<EngineSettings, SettingsError> {
        let mut draft = BindDraft::from_code(bind, &format!("settings of {:?}", key.as_str()));
        let own = self.own.get(&key).cloned().unwrap_or_default();
        let said = std::mem::replace(&mut draft.options, own.options);
        draft.options.overlay(said);
        draft.required = draft.required.or(own.required);
        let mut problems = Vec::new();
        match self.read(key, &draft, Path::new(""), &mut problems) {
            Some(engine) if problems.is_empty() => {
                let is_in_transaction =
                    self.is_isolated && engine.url.backend() != BackendKind::Sqlite;
                Ok(if is_in_transaction { engine.isolated(None) } else { engine })
            }
            _ => Err(SettingsError::from_problems(problems)),
        }
    }

    /// The same in test isolation.
    pub(crate) fn isolated(&self) -> Self {
        Self { is_isolated: true, ..self.clone() }
    }

    /// How long a session of the bind `key` is waited for, before the settings of its engine are known.
    pub(crate) fn acquire_timeout(&self, key: BindKey) -> Duration {
        let own = self.own.get(&key).and_then(|own| own.options.said.acquire_timeout);
        own.unwrap_or_else(|| self.general_acquire_timeout())
    }

    /// The same for a bind that has no `acquire_timeout` of its own.
    pub(crate) fn general_acquire_timeout(&self) -> Duration {
        self.general.said.acquire_timeout.unwrap_or(self.base.acquire_timeout)
    }

    /// `folder` is where relative paths begin.
    pub(in crate::settings) fn read(
        &self,
        key: BindKey,
        draft: &BindDraft,
        folder: &Path,
        problems: &mut Vec<Problem>,
    ) -> Option<EngineSettings> {
        let url = self.read_url(draft, folder).map_err(|problem| problems.extend(problem)).ok();
        check_ranges(&draft.options, problems);
        let (general, base) = (&self.general, &self.base_layer);
        let layers = Layers { own: &draft.options, general, base };
        let options = fitted(key, url.as_ref(), &self.base, &layers, problems);
        let url = url?;
        if let Some(said) = &draft.url {
            let tenant_schema = draft.tenant_schema.as_ref();
            let beside = pooler::Beside { url: &url, url_place: &said.place, tenant_schema };
            pooler::check(key, &options, &layers, &beside, problems);
        }
        let migrate_url =
            migrate_url::read(draft, &url, folder, self.check_url).unwrap_or_else(|problem| {
                problems.push(problem);
                None
            });
        if let Some(problem) =
            draft.tenant_schema.as_ref().and_then(|said| check_schema(said, &url))
        {
            problems.push(problem);
        }
        Some(EngineSettings {
            key,
            url: url.resolved_against(folder),
            migrate_url,
            options,
            required: draft.required.unwrap_or(true),
            tenant_schema: draft.tenant_schema.as_ref().map(|said| said.value.clone()),
            tenant: None,
            credentials: self.credentials.get(&key).cloned(),
            is_isolated: false,
        })
    }

    fn read_url(&self, draft: &BindDraft, folder: &Path) -> Result<DatabaseUrl, Option<Problem>> {
        let url = read_url(draft, folder, self.is_enabled)?;
        let told = |message: String| Some(Problem::new(&url.place, message));
        url.value.check_braces().map_err(told)?;
        // As it will be for a tenant, with a name that is as short as can be.
        let checked = url.value.resolved_against(folder);
        let checked = if checked.is_per_tenant() {
            checked.for_tenant("a").map_err(|unfit| told(unfit.to_string()))?
        } else {
            checked
        };
        (self.check_url)(&checked).map_err(told)?;
        with_password(draft, url, folder)
    }
}

impl fmt::Debug for BindDefaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BindDefaults").finish_non_exhaustive()
    }
}

fn check_schema(said: &Said<String>, url: &DatabaseUrl) -> Option<Problem> {
    let message = if url.backend() != BackendKind::Postgres {
        format!("{} has no schemas in a database: only PostgreSQL has", url.backend())
    } else if !said.value.contains(TENANT_PLACEHOLDER) {
        format!("the schema of a tenant has `{TENANT_PLACEHOLDER}` in it")
    } else if url.is_per_tenant() {
        format!(
            "`{TENANT_PLACEHOLDER}` in the URL gives each tenant a database, and this a schema: one will do"
        )
    } else if said.value.contains(['\0', '"']) {
        "a schema has no quotes in its name".to_owned()
    } else {
        return None;
    };
    Some(Problem::new(&said.place, message))
}

/// Fails without a problem where there is one already.
fn read_url(
    draft: &BindDraft,
    folder: &Path,
    is_enabled: fn(BackendKind) -> bool,
) -> Result<Said<DatabaseUrl>, Option<Problem>> {
    let Some(said) = &draft.url else {
        let message = "a bind without a URL: write `url` or `url_file`";
        return Err(Some(Problem::new(&draft.place, message)));
    };
    let url = match &said.value {
        UrlFrom::Refused => return Err(None),
        UrlFrom::Text(url) => url.clone(),
        UrlFrom::File(file) => {
            let text = read_secret(&said.place, file, folder)?;
            DatabaseUrl::parse(text.trim())
        }
    };
    let url = url.map_err(|invalid| Problem::new(&said.place, invalid))?;
    let backend = url.backend();
    if !is_enabled(backend) {
        return Err(Some(feature_off(&said.place, backend)));
    }
    Ok(Said { value: url, place: said.place.clone(), layer: said.layer })
}

/// The URL with the password that was said beside it.
///
/// Of a password in the URL and one beside it, that of the upper layer wins: a `DATABASE_URL` with a
/// password of its own replaces the file's password, and one without keeps it.
fn with_password(
    draft: &BindDraft,
    url: Said<DatabaseUrl>,
    folder: &Path,
) -> Result<DatabaseUrl, Option<Problem>> {
    let Some(said) = &draft.password else {
        return Ok(url.value);
    };
    let below = said.layer < url.layer;
    if url.value.backend() == BackendKind::Sqlite {
        // A URL from a variable may well be of another backend than the one that it overrides.
        return if below {
            Ok(url.value)
        } else {
            Err(Some(Problem::new(&said.place, "SQLite has no passwords")))
        };
    }
    if url.value.has_password() {
        if below {
            return Ok(url.value);
        }
        if said.layer == url.layer {
            let message = format!("said twice: the URL of `{}` has a password as well", url.place);
            return Err(Some(Problem::new(&said.place, message)));
        }
    }
    Ok(match password_of(draft, folder)? {
        Some(password) => url.value.with_password(&password),
        None => url.value,
    })
}

/// The password that was said beside the URL.
pub(in crate::settings) fn password_of(
    draft: &BindDraft,
    folder: &Path,
) -> Result<Option<SecretString>, Problem> {
    Ok(match &draft.password {
        None => None,
        Some(Said { value: PasswordFrom::Text(password), .. }) => Some(password.clone()),
        Some(Said { value: PasswordFrom::File(file), place, .. }) => {
            Some(SecretString::from(read_secret(place, file, folder)?))
        }
    })
}

/// The content of a file without the line break that editors and `echo` leave at its end.
fn read_secret(place: &str, file: &SecretPath, folder: &Path) -> Result<String, Problem> {
    let file = file.expose_secret();
    let read = fs::read_to_string(folder.join(file)).and_then(|mut text| {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        if text.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
        }
        Ok(text)
    });
    read.map_err(|error| Problem::new(place, unreadable(file, folder, &error)))
}

/// Why a file with a secret cannot be read, without its path: it may be the secret itself.
fn unreadable(file: &str, folder: &Path, error: &io::Error) -> String {
    let begin = if Path::new(file).is_absolute() {
        "it is an absolute path".to_owned()
    } else {
        // Fails only where there is no current directory.
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

fn feature_off(place: &str, backend: BackendKind) -> Problem {
    Problem::new(
        place,
        format!(
            "{backend} needs the feature `{}` of registry-core, which is off: add it to that \
             dependency's `features` in Cargo.toml",
            backend.feature()
        ),
    )
}
