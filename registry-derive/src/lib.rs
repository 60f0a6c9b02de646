//! The macros of `registry-core`.
