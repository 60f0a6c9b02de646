//! A multi-database layer for Diesel.

pub mod backend;
mod bind;
#[doc(hidden)]
pub mod private;
pub mod settings;

pub use backend::Backend;
pub use bind::{Bind, BindKey, Bound, ByKey, Db, InvalidBindKey, KeyName, Name};
pub use settings::BackendKind;
