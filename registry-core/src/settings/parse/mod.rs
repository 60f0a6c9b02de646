//! First stage: what was written becomes a [`Draft`](draft::Draft), typed but not yet checked.
//!
//! A draft keeps for each setting where it was written, so that every later stage can name that place in a
//! [`Problem`](super::Problem). Nothing here stops at the first mistake.
//!
//! | file | contents |
//! |---|---|
//! | [`draft`] | what one layer says; how an upper layer is laid over a lower one |
//! | [`document`] | the table of a file or of a serde loader, to a draft |
//! | [`environment`] | variables such as `DATABASE__BINDS__REPORTS__MAX_CONNECTIONS`, to a draft |

pub(in crate::settings) mod document;
pub(in crate::settings) mod draft;
pub(in crate::settings) mod environment;
