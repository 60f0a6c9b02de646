//! Reading SQL, in one place and with one lexer.
//!
//! - [`lexer`]: a statement as tokens, by the rules of a dialect.
//! - [`effects`]: what a text leaves behind in the session that runs it.
//! - [`body`]: what stands around a token of a statement.
//! - [`functions`]: the functions that leave nothing behind.
//! - [`grammar`]: what words mean by where they stand: which ones call a function, and which do not.
//! - [`keyword`]: words, compared by a number.
//! - [`tables`]: which tables a statement names.
//!
//! None of it is a parser. Where a reading is not certain, the answer is the one that is safe.

mod dialect;
mod effects;
mod keyword;
mod lexer;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use dialect::Dialect;
pub(crate) use effects::{Effects, SessionEffect, TransactionEffect, effects};
pub(crate) use tables::{NamedTable, first_name, tables};
