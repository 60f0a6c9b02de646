//! Options of an engine: the fields of [`EngineOptions`], and how settings give them.
//!
//! | file | contents |
//! |---|---|
//! | [`list`] | every option once: name, documentation, type, default, setter |
//! | this file | [`EngineOptions`], and [`PartialOptions`]: the same options, each of which can be missing |
//! | [`layer`] | options with the places where they were written, and which layer wins |
//! | [`shown`] | how options look in `Debug` and when they are serialized |
//! | [`pooler`], [`reset_on_return`], [`synchronous`], [`pem`], [`when_behind`], [`share`], [`when_pending`], [`when_unknown`] | the types of some options |

mod layer;
mod list;
mod pem;
mod pooler;
mod reset_on_return;
mod share;
mod shown;
mod synchronous;
mod when_behind;
mod when_pending;
mod when_unknown;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::settings::from_value::FromValue;
use crate::settings::value::Value;
use shown::{
    Shown, duration_as_text, optional_duration_as_text, optional_path_as_text, statements_as_places,
};

pub(in crate::settings) use layer::{OptionLayer, OptionLayers};
pub(in crate::settings) use list::for_each_option;
pub use pem::Pem;
pub use pooler::Pooler;
pub use reset_on_return::ResetOnReturn;
pub use share::Share;
pub use synchronous::Synchronous;
pub use when_behind::WhenBehind;
pub use when_pending::WhenPending;
pub use when_unknown::WhenUnknown;

/// Declares [`EngineOptions`] and [`PartialOptions`] from the list of options.
macro_rules! declare_options {
    ($(
        $(#[doc = $doc:literal])*
        $(#[serde($($serde:tt)*)])?
        $name:ident: $type:ty = $default:expr,
        set($($setter_argument:tt)*) $setter_value:expr;
    )*) => {
        /// How an engine behaves: its pool, its timeouts, and what it does with a connection.
        ///
        /// The fields are named as the settings. In settings a duration is a text with its unit (`"30s"`, `"500ms"`,
        /// `"10min"`), and an option that can be switched off takes `"none"`. A duration is at most 100 years; one that
        /// is longer, or that a database cannot count, is an error when the registry is built.
        ///
        /// A [registry's builder](crate::RegistryBuilder::options) takes options of this type. They are the lowest
        /// layer above the defaults: the table `options` of the settings wins over them, and the options of a bind win
        /// over both. [`Engine::options`](crate::Engine::options) returns the merged options of one engine.
        ///
        /// ```
        /// use registry_core::EngineOptions;
        ///
        /// let options = EngineOptions { max_connections: 4, ..Default::default() };
        /// assert_eq!(options.acquire_timeout.as_secs(), 30);
        /// ```
        ///
        /// The statements of `on_connect` may contain secrets: `Debug` shows how many there are, and each is
        /// serialized as `"***"`.
        #[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
        pub struct EngineOptions {
            $(
                $(#[doc = $doc])*
                $(#[serde($($serde)*)])?
                pub $name: $type,
            )*
        }

        impl Default for EngineOptions {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl fmt::Debug for EngineOptions {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("EngineOptions")
                    $(.field(stringify!($name), &Shown(&self.$name)))*
                    .finish()
            }
        }

        /// The options that one table of the settings, or one [`BindSettings`](crate::BindSettings), gives. Each can be
        /// missing.
        #[derive(Clone, Default)]
        pub(in crate::settings) struct PartialOptions {
            $(pub(in crate::settings) $name: Option<$type>,)*
        }

        impl PartialOptions {
            pub(in crate::settings) const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Reads `value` as the option `name`, which is one of [`NAMES`](Self::NAMES).
            pub(in crate::settings) fn read(
                &mut self,
                name: &str,
                value: &Value,
            ) -> Result<(), String> {
                match name {
                    $(stringify!($name) => self.$name = Some(FromValue::from_value(value)?),)*
                    _ => {}
                }
                Ok(())
            }

            /// Replaces the options that `upper` has.
            pub(in crate::settings) fn overlay(&mut self, upper: Self) {
                $(if upper.$name.is_some() {
                    self.$name = upper.$name;
                })*
            }

            /// The names of the options that are given.
            pub(in crate::settings) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
                [$(self.$name.is_some().then_some(stringify!($name))),*].into_iter().flatten()
            }

            /// Writes the options that are given into `options`.
            pub(in crate::settings) fn apply(&self, options: &mut EngineOptions) {
                $(if let Some(value) = &self.$name {
                    options.$name.clone_from(value);
                })*
            }
        }

        impl From<&EngineOptions> for PartialOptions {
            fn from(options: &EngineOptions) -> Self {
                Self { $($name: Some(options.$name.clone()),)* }
            }
        }

        impl fmt::Debug for PartialOptions {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct("PartialOptions");
                $(if let Some(value) = &self.$name {
                    shown.field(stringify!($name), &Shown(value));
                })*
                shown.finish()
            }
        }
    };
}

for_each_option!(declare_options);

#[cfg(test)]
mod tests;
