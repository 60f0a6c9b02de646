//! Second stage: what each bind comes to, given its own options, the table `options`, the options of the registry's
//! builder and the defaults.
//!
//! | file | contents |
//! |---|---|
//! | [`resolve`] | all binds of a registry at once, with every problem: what building a registry calls |
//! | [`bind_defaults`] | one bind: its settings are inherited, then [validated](super::validate). Kept by the registry for engines that are opened later |
//! | [`url`], [`migrate_url`] | where it connects: the URL and the password beside it, which may come from files |
//! | [`secret`] | files with secrets |
//! | [`on_demand`] | limits for all engines together that are opened on demand |
//! | [`engine_settings`] | the result: everything that an engine needs to know |

pub(in crate::settings) mod bind_defaults;
mod engine_settings;
mod migrate_url;
mod on_demand;
pub(in crate::settings) mod resolve;
mod secret;
mod url;

pub(crate) use bind_defaults::BindDefaults;
pub(crate) use engine_settings::EngineSettings;
pub(crate) use on_demand::OnDemandOptions;
pub(crate) use resolve::{BuilderSettings, Resolved, resolve};
