//! Options with the places where they were written, in layers. An upper layer wins over a lower one.

use std::collections::BTreeMap;

use super::{EngineOptions, PartialOptions};
use crate::settings::value::Value;

/// Options, and where each of them was written.
#[derive(Debug, Clone, Default)]
pub(in crate::settings) struct OptionLayer {
    pub(in crate::settings) options: PartialOptions,
    places: BTreeMap<&'static str, String>,
}

/// The layers that the options of one engine come from.
pub(in crate::settings) struct OptionLayers<'a> {
    /// The bind's own options, which win over the others.
    pub(in crate::settings) own: &'a OptionLayer,
    /// For a replica: the options of its bind. Its own win over them.
    pub(in crate::settings) bind: Option<&'a OptionLayer>,
    /// The table `options` of the settings, which is for every engine.
    pub(in crate::settings) general: &'a OptionLayer,
    /// The options of the registry's builder. They are for every engine, too, and win over the defaults.
    pub(in crate::settings) builder: &'a OptionLayer,
}

impl OptionLayer {
    /// Options from code. `place` returns how a problem names the call that gave an option.
    pub(in crate::settings) fn from_code(
        options: PartialOptions,
        place: impl Fn(&str) -> String,
    ) -> Self {
        let places = options.names().map(|name| (name, place(name))).collect();
        Self { options, places }
    }

    /// Reads the option `name`; `None` if there is no such option.
    pub(in crate::settings) fn read(
        &mut self,
        name: &str,
        value: &Value,
        place: &str,
    ) -> Option<Result<(), String>> {
        let name = PartialOptions::NAMES.iter().find(|known| **known == name)?;
        let read = self.options.read(name, value);
        if read.is_ok() {
            self.places.insert(name, place.to_owned());
        }
        Some(read)
    }

    /// Replaces the options that `upper` has.
    pub(in crate::settings) fn overlay(&mut self, upper: Self) {
        self.options.overlay(upper.options);
        self.places.extend(upper.places);
    }

    /// The place where the option `name` was written. `None` if it was not written.
    pub(in crate::settings) fn place(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(String::as_str)
    }
}

impl<'a> OptionLayers<'a> {
    /// The merged options of the layers, over the defaults.
    pub(in crate::settings) fn merged(&self) -> EngineOptions {
        let mut options = EngineOptions::default();
        for layer in self.uppermost_first().rev() {
            layer.options.apply(&mut options);
        }
        options
    }

    /// The place where the option `name` was written, in the uppermost layer with the option.
    pub(in crate::settings) fn place(&self, name: &'a str) -> &'a str {
        self.uppermost(|layer| layer.place(name)).unwrap_or(name)
    }

    /// The value of the uppermost layer for which `answer` returns one.
    pub(in crate::settings) fn uppermost<T>(
        &self,
        answer: impl Fn(&'a OptionLayer) -> Option<T>,
    ) -> Option<T> {
        self.uppermost_first().find_map(answer)
    }

    fn uppermost_first(&self) -> impl DoubleEndedIterator<Item = &'a OptionLayer> + use<'a> {
        let inherited = [self.bind, Some(self.general), Some(self.builder)];
        [Some(self.own)].into_iter().chain(inherited).flatten()
    }
}
