//! What a borrower leaves behind on its connection, and that the next one never sees it: transactions,
//! settings, temporary tables, locks, prepared statements, notifications and unread rows.
//!
//! Each test has a table of spellings. One that goes wrong does not hide the others: all are told together.

mod support;

#[path = "leftovers"]
mod postgres {
    pub(crate) use crate::support::backends::postgres::*;

    #[path = "postgres/harmless.rs"]
    mod harmless;
    #[path = "postgres/notifications.rs"]
    mod notifications;
    #[path = "postgres/prepared.rs"]
    mod prepared;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    mod rig;
    #[path = "postgres/state.rs"]
    mod state;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    mod streams;
    #[path = "postgres/temporary.rs"]
    mod temporary;
    #[path = "postgres/transactions.rs"]
    mod transactions;
}

#[path = "leftovers"]
mod postgres_by_socket {
    pub(crate) use crate::support::backends::postgres_by_socket::*;

    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "postgres/harmless.rs"]
    mod harmless;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "postgres/notifications.rs"]
    mod notifications;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "postgres/prepared.rs"]
    mod prepared;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    mod rig;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "postgres/state.rs"]
    mod state;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    mod streams;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "postgres/temporary.rs"]
    mod temporary;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every way")]
    #[path = "postgres/transactions.rs"]
    mod transactions;
}

#[path = "leftovers"]
mod mysql {
    pub(crate) use crate::support::backends::mysql::*;

    #[path = "mysql/harmless.rs"]
    mod harmless;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    mod rig;
    #[path = "mysql/state.rs"]
    mod state;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    mod streams;
    #[path = "mysql/transactions.rs"]
    mod transactions;
}

#[path = "leftovers"]
mod sqlite {
    pub(crate) use crate::support::backends::sqlite::*;

    #[path = "sqlite/harmless.rs"]
    mod harmless;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    mod rig;
    #[path = "sqlite/state.rs"]
    mod state;
    #[expect(clippy::duplicate_mod, reason = "the point: one body, every backend")]
    mod streams;
    #[path = "sqlite/transactions.rs"]
    mod transactions;
}
