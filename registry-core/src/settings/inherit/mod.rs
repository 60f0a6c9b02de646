//! Second stage: what a bind's own options, `options`, those of the builder and the defaults come to together.

pub(in crate::settings) mod bind_defaults;
pub(in crate::settings) mod resolve;

pub(crate) use bind_defaults::BindDefaults;
pub(crate) use resolve::{BuilderSettings, EngineSettings, OnDemandOptions, Resolved, resolve};
