//! What texts leave behind, by tables of texts.

use super::Dialect;
use super::effects::{Effects, SessionEffect, TransactionEffect, effects};

mod diesel;
mod mysql;
mod postgres;
mod properties;
mod sqlite;

const HARMLESS: Effects = Effects {
    session: SessionEffect::None,
    transaction: TransactionEffect::None,
    is_certain: false,
    may_end: false,
    has_savepoint: false,
};
const BEGINS: Effects = Effects { transaction: TransactionEffect::Begins, ..HARMLESS };
const ENDS: Effects = Effects { transaction: TransactionEffect::Ends, ..HARMLESS };
const MAY_BEGIN_OR_END: Effects = Effects { transaction: TransactionEffect::Unknown, ..HARMLESS };

/// The texts of which something else is said.
#[track_caller]
fn assert_all(dialect: Dialect, expected: Effects, texts: &[&str]) {
    let others: Vec<_> = texts
        .iter()
        .map(|text| (text, effects(dialect, text)))
        // What else is said of them has tests of its own.
        .filter(|(_, effects)| {
            (effects.session, effects.transaction) != (expected.session, expected.transaction)
        })
        .collect();
    assert!(others.is_empty(), "not {expected:?}: {others:#?}");
}

/// As [`assert_all`], for what is left behind in the session alone.
#[track_caller]
fn assert_session(dialect: Dialect, expected: SessionEffect, texts: &[&str]) {
    let others: Vec<_> = texts
        .iter()
        .map(|text| (text, effects(dialect, text).session))
        .filter(|(_, session)| *session != expected)
        .collect();
    assert!(others.is_empty(), "not {expected:?}: {others:#?}");
}

#[track_caller]
fn assert_changes(dialect: Dialect, texts: &[&str]) {
    assert_session(dialect, SessionEffect::Changed, texts);
}

#[track_caller]
fn assert_replaces(dialect: Dialect, texts: &[&str]) {
    assert_session(dialect, SessionEffect::Replace, texts);
}
