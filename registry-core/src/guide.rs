#![doc = include_str!("../docs/links.md")]
#![doc = include_str!("../docs/guide/README.md")]

// The chapters are the files of `docs/guide` in the repository, which `registry-core/docs/guide` is a symbolic link to,
// so that they are in the package. `lib.rs` has this module in the documentation and in documentation tests alone.
//
// A chapter is read in the repository as well, where its neighbours have other addresses. So chapters link to each other
// by reference (`[settings]`), and each reference is defined twice: at the end of a chapter as a file, and in
// `docs/links.md`, which comes before it, as a module. Of two definitions Markdown takes the first.

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/getting-started.md")]
pub mod getting_started {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/binds-and-models.md")]
pub mod binds_and_models {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/settings.md")]
pub mod settings {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/queries.md")]
pub mod queries {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/transactions-and-scopes.md")]
pub mod transactions_and_scopes {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/pages-and-errors.md")]
pub mod pages_and_errors {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/tenants.md")]
pub mod tenants {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/migrations.md")]
pub mod migrations {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/command-line.md")]
pub mod command_line {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/replicas.md")]
pub mod replicas {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/poolers.md")]
pub mod poolers {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/tls.md")]
pub mod tls {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/failures-and-reset.md")]
pub mod failures_and_reset {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/watching.md")]
pub mod watching {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/performance.md")]
pub mod performance {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/moving-in.md")]
pub mod moving_in {}

#[doc = include_str!("../docs/links.md")]
#[doc = include_str!("../docs/guide/from-flask-sqlalchemy.md")]
pub mod from_flask_sqlalchemy {}
