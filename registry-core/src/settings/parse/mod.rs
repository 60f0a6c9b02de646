//! First stage: the untyped settings become a [`Draft`](draft::Draft), which is typed but not yet checked.
//!
//! A draft keeps the place of each setting, so that every later stage can name that place in a
//! [`Problem`](super::Problem). No function here stops at the first mistake.
//!
//! | file | contents |
//! |---|---|
//! | [`draft`] | the settings of one layer; how an upper layer overrides a lower one |
//! | [`document`] | the table of a file or of a serde loader, to a draft |
//! | [`environment`] | variables such as `DATABASE__BINDS__REPORTS__MAX_CONNECTIONS`, to a draft |
//! | [`replicas`] | the replicas of a bind, of either of the two |
//! | [`near_miss`] | names that nearly are those of a bind or of the table: warnings |

pub(in crate::settings) mod document;
pub(in crate::settings) mod draft;
pub(in crate::settings) mod environment;
pub(in crate::settings) mod near_miss;
pub(in crate::settings) mod replicas;
