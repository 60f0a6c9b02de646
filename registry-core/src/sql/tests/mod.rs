//! What texts leave behind, in tables of texts.

use super::dialect::Dialect;
use super::effects::{Effects, SessionEffect, TransactionEffect, effects};

mod diesel;
mod endings;
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

/// Fails with the texts that have other effects.
#[track_caller]
fn assert_all(dialect: Dialect, expected: Effects, texts: &[&str]) {
    let others: Vec<_> = texts
        .iter()
        .map(|text| (text, effects(dialect, text)))
        // Certainty, the ends of transactions and savepoints have tests of their own.
        .filter(|(_, effects)| {
            let Effects { may_end, has_savepoint, .. } = HARMLESS;
            Effects { is_certain: false, may_end, has_savepoint, ..*effects } != expected
        })
        .collect();
    assert!(others.is_empty(), "not {expected:?}: {others:#?}");
}

/// As [`assert_all`], for the effect on the session alone.
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
