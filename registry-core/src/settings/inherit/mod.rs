//! Second stage: the settings of each bind, inherited from its own options, the table `options`, the options of the
//! registry's builder and the defaults.
//!
//! | file | contents |
//! |---|---|
//! | [`resolve`] | all binds of a registry at once, with every problem: what building a registry calls |
//! | [`bind_defaults`] | one bind: its settings are inherited, then [validated](super::validate). Kept by the registry for engines that are opened later |
//! | [`url`], [`migrate_url`] | the URLs that a bind connects to, and the password beside them; all of these may come from files |
//! | [`replica`] | the replicas of a bind, which inherit from it |
//! | [`secret`] | files with secrets |
//! | [`tls`] | certificates and a key that options give |
//! | [`token_key`] | the secret that signs tokens |
//! | [`on_demand`] | limits for all engines together that are opened on demand |
//! | [`engine_settings`] | the result: all settings of one engine |

pub(in crate::settings) mod bind_defaults;
mod engine_settings;
mod migrate_url;
mod on_demand;
mod replica;
pub(in crate::settings) mod resolve;
mod secret;
mod tls;
mod token_key;
mod url;

pub(crate) use bind_defaults::BindDefaults;
pub(crate) use engine_settings::EngineSettings;
pub(crate) use on_demand::OnDemandOptions;
pub(crate) use replica::ReplicaSettings;
pub(crate) use resolve::{BuilderSettings, Resolved, resolve};
