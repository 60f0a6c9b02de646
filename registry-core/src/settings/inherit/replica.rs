//! The replicas of a bind. What they do not have themselves, they have from the bind.

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;

use super::bind_defaults::BindDefaults;
use super::engine_settings::EngineSettings;
use super::{tls, url};
use crate::settings::error::Problem;
use crate::settings::keys::BindKey;
use crate::settings::options::{EngineOptions, OptionLayers, Pooler};
use crate::settings::parse::draft::{BindDraft, Written};
use crate::settings::role::Role;
use crate::settings::url::DatabaseUrl;
use crate::settings::url::tls::TlsMaterial;
use crate::settings::validate::{self, ranges, replica};

/// One replica of a bind: all settings of its engine, and how many of the reads it gets.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaSettings {
    pub(crate) settings: Arc<EngineSettings>,
    pub(crate) weight: u32,
}

/// What a replica has itself, or has inherited.
pub(super) struct Replica {
    url: DatabaseUrl,
    /// The place where the URL was written.
    place: String,
    options: EngineOptions,
    weight: u32,
}

/// The bind whose replicas are read.
pub(super) struct BindOfReplicas<'a> {
    pub(super) key: BindKey,
    pub(super) defaults: &'a BindDefaults,
    pub(super) draft: &'a BindDraft,
    /// `None` if it could not be read. Then only the checks that do not depend on it are made.
    pub(super) url: Option<&'a DatabaseUrl>,
    pub(super) folder: &'a Path,
}

impl BindOfReplicas<'_> {
    /// The replicas of the bind, inherited and validated.
    pub(super) fn read(&self, problems: &mut Vec<Problem>) -> Vec<Replica> {
        let Some(written) = self.written() else { return Vec::new() };
        if let Some(url) = self.url
            && let Err(message) = replica::check_backend(url.backend())
        {
            problems.push(Problem::new(&written.place, message));
            return Vec::new();
        }
        let mut read: Vec<Replica> = Vec::new();
        for draft in &written.value {
            let Some(replica) = self.read_one(draft, problems) else { continue };
            match read.iter().find(|before| before.is_at_same_url(&replica)) {
                Some(before) => problems.push(Problem::new(
                    &replica.place,
                    format!("given twice: `{}` has the same URL", before.place),
                )),
                None => read.push(replica),
            }
        }
        // A replica has these two from its bind.
        if let Some(Replica { options, .. }) = read.first()
            && let Some(max_lag) = options.max_lag.filter(|lag| *lag < options.probe_interval)
        {
            tracing::warn!(
                target: "registry",
                bind = %self.key,
                ?max_lag,
                probe_interval = ?options.probe_interval,
                "the replicas get few reads: their lag is measured each `probe_interval`, which is longer than `max_lag`"
            );
        }
        read
    }

    /// The replicas that are written, unless there are none, or the URL of the bind is from an upper layer. Then they may
    /// lead to another database than the URL, so they are ignored.
    fn written(&self) -> Option<&Written<Vec<BindDraft>>> {
        let written = self.draft.replicas.as_ref().filter(|written| !written.value.is_empty())?;
        match &self.draft.url {
            Some(url) if written.layer < url.layer => {
                tracing::warn!(
                    target: "registry",
                    bind = %self.key,
                    variable = url.place,
                    replicas = written.place,
                    "replicas are ignored: a variable gives the bind another URL, and they belong to the one it replaces"
                );
                None
            }
            _ => Some(written),
        }
    }

    fn read_one(&self, draft: &BindDraft, problems: &mut Vec<Problem>) -> Option<Replica> {
        replica::check_fields(draft, problems);
        let layers = OptionLayers {
            own: &draft.options,
            bind: Some(&self.draft.options),
            general: &self.defaults.general,
            builder: &self.defaults.builder,
        };
        let material = tls::material(&layers).unwrap_or_else(|problem| {
            problems.push(problem);
            TlsMaterial::default()
        });
        let url = self.read_url(draft, &material).map_err(|problem| problems.extend(problem)).ok();
        let mut options = layers.merged();
        options.read_only = true;
        if let (Some(url), Some(bind_url), Some(written)) = (&url, self.url, &draft.url)
            // A pooler may have names of its own for databases.
            && options.pooler == Pooler::None
            && let Err(message) = replica::check_database(url, bind_url)
        {
            problems.push(Problem::new(&written.place, message));
        }
        ranges::check(&draft.options, problems);
        validate::check_options(self.key, url.as_ref(), &options, &layers, problems);
        let weight = draft.weight.as_ref().map_or(1, |written| written.value);
        let (url, place) = (url?.resolved_against(self.folder), draft.url.as_ref()?.place.clone());
        Some(Replica { url, place, options, weight })
    }

    fn read_url(
        &self,
        draft: &BindDraft,
        material: &TlsMaterial,
    ) -> Result<DatabaseUrl, Option<Problem>> {
        let Some(Written { place, .. }) = &draft.url else {
            let message = "a replica without a URL: write `url` or `url_file`";
            return Err(Some(Problem::new(&draft.place, message)));
        };
        let (is_enabled, check_url) = (self.defaults.is_enabled, self.defaults.check_url);
        let url = url::read(draft, self.url, self.folder, material, is_enabled, check_url)?;
        if let Some(bind_url) = self.url {
            replica::check_url(&url, bind_url).map_err(|message| Problem::new(place, message))?;
        }
        Ok(url)
    }
}

impl Replica {
    fn is_at_same_url(&self, other: &Self) -> bool {
        let without_password = |url: &DatabaseUrl| url.with_password(&SecretString::default());
        without_password(&self.url) == without_password(&other.url)
    }
}

impl EngineSettings {
    /// These settings with these replicas, which have everything else from them.
    pub(super) fn with_replicas(mut self, replicas: Vec<Replica>) -> Self {
        let replicas = replicas.into_iter().map(|Replica { url, options, weight, .. }| {
            let settings = Self {
                url,
                options,
                role: Role::Replica,
                migrate_url: None,
                // A reader reads from another server without it.
                required: false,
                ..self.clone()
            };
            ReplicaSettings { settings: Arc::new(settings), weight }
        });
        self.replicas = replicas.collect();
        self
    }
}
