//! The replicas of a bind. What they do not have themselves, they have from the bind.

use std::path::Path;
use std::sync::Arc;

use super::bind_defaults::BindDefaults;
use super::engine_settings::EngineSettings;
use super::{tls, url};
use crate::settings::error::Problem;
use crate::settings::keys::BindKey;
use crate::settings::options::{EngineOptions, OptionLayers};
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
        let replicas = written.value.iter();
        replicas.filter_map(|draft| self.read_one(draft, problems)).collect()
    }

    fn written(&self) -> Option<&Written<Vec<BindDraft>>> {
        self.draft.replicas.as_ref().filter(|replicas| !replicas.value.is_empty())
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
        ranges::check(&draft.options, problems);
        validate::check_options(self.key, url.as_ref(), &options, &layers, problems);
        let weight = draft.weight.as_ref().map_or(1, |written| written.value);
        Some(Replica { url: url?.resolved_against(self.folder), options, weight })
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
        let url = url::read(draft, self.folder, material, is_enabled, check_url)?;
        if let Some(bind_url) = self.url {
            replica::check_url(&url, bind_url).map_err(|message| Problem::new(place, message))?;
        }
        Ok(url)
    }
}

impl EngineSettings {
    /// These settings with these replicas, which have everything else from them.
    pub(super) fn with_replicas(mut self, replicas: Vec<Replica>) -> Self {
        let replicas = replicas.into_iter().map(|Replica { url, options, weight }| {
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
