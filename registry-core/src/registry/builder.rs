//! Building a registry.

use std::sync::Arc;

use super::Registry;
use crate::backend;
use crate::engine::{self, AnyEngine};
use crate::settings::{self, BindSettings, EngineOptions, Settings, SettingsError};

/// Builds a [`Registry`], see [`Registry::builder`].
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RegistryBuilder {
    settings: Settings,
    binds: Vec<(String, BindSettings)>,
    options: EngineOptions,
}

impl RegistryBuilder {
    /// Takes binds and options from settings, in place of those given by an earlier call.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Adds a bind, or replaces the one of that key: a URL, or a [`BindSettings`] with options of its
    /// own.
    ///
    /// A relative SQLite path in it is relative to the current directory.
    pub fn bind(mut self, key: impl Into<String>, settings: impl Into<BindSettings>) -> Self {
        self.binds.push((key.into(), settings.into()));
        self
    }

    /// Options for every engine, in place of the defaults. What settings say wins over them.
    pub fn options(mut self, options: EngineOptions) -> Self {
        self.options = options;
        self
    }

    /// Checks everything and makes the registry. It opens no connection and needs no runtime.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with every problem there is, not only the first.
    pub fn build(self) -> Result<Registry, SettingsError> {
        let Self { settings, binds, options } = self;
        let (engines, problems) = settings::resolve(&settings, binds, &options, backend::check_url);
        if !problems.is_empty() {
            return Err(SettingsError::from_problems(problems));
        }
        let engines: Vec<Arc<dyn AnyEngine>> = engines.into_iter().map(engine::open).collect();
        Ok(Registry::new(engines))
    }
}
