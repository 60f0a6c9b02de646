//! Session state that a borrower leaves on its connection never reaches the next one: transactions, settings,
//! temporary tables, locks, prepared statements, notifications and unread rows.
//!
//! Each test has a table of statements. A failing one does not hide the others: all failures are reported together.

#[path = "../support/mod.rs"]
mod support;

mod postgres {
    pub(crate) use crate::support::backends::postgres::*;

    mod harmless;
    mod notifications;
    mod prepared;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../queries.rs"]
    mod queries;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../rig.rs"]
    mod rig;
    mod state;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../streams.rs"]
    mod streams;
    mod temporary;
    mod transactions;
}

#[path = "postgres"]
mod postgres_by_socket {
    pub(crate) use crate::support::backends::postgres_by_socket::*;

    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    mod harmless;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    mod notifications;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    mod prepared;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "../queries.rs"]
    mod queries;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "../rig.rs"]
    mod rig;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    mod state;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "../streams.rs"]
    mod streams;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    mod temporary;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    mod transactions;
}

mod mysql {
    pub(crate) use crate::support::backends::mysql::*;

    mod harmless;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../queries.rs"]
    mod queries;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../rig.rs"]
    mod rig;
    mod state;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../streams.rs"]
    mod streams;
    mod transactions;
}

mod sqlite {
    pub(crate) use crate::support::backends::sqlite::*;

    mod harmless;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../queries.rs"]
    mod queries;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../rig.rs"]
    mod rig;
    mod state;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    #[path = "../streams.rs"]
    mod streams;
    mod transactions;
}
