//! Reading SQL, in one place and with one lexer.
//!
//! # How a text is read
//!
//! 1. [`lexer`] cuts the text into tokens by the rules of its [`dialect`], without comments and white space. What it does
//!    not understand is a token as well: from there on, nothing is certain.
//! 2. [`keyword`] makes a number of each word, so that words are compared without regard to case and at no cost.
//! 3. A reader goes over the tokens once, from the left to the right, and keeps as little as answers its question:
//!
//! | file | question |
//! |---|---|
//! | [`effects`](mod@effects) | what does a text leave behind in the session that runs it, and in its transaction? |
//! | [`tables`](mod@tables) | which tables does a statement name, and where? |
//! | [`rows`] | does a statement have rows, and does it only read? |
//! | [`setting_names`](mod@setting_names) | which custom settings of PostgreSQL may a text set? |
//! | [`diesel`] | where does the SQL end in what Diesel shows of a query? |
//!
//! None of them is a parser. Where a reading is not certain, the answer is the one that is safe: a change of the session, a
//! transaction that may have ended, a table that is looked at.

mod dialect;
mod diesel;
mod effects;
mod keyword;
mod lexer;
mod rows;
#[cfg(feature = "postgres")]
mod setting_names;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use self::diesel::{is_diesel_savepoint, sql_of, without_bind_values};
pub(crate) use dialect::Dialect;
pub(crate) use effects::{Effects, SessionEffect, TransactionEffect, effects};
pub(crate) use rows::may_return_rows;
#[cfg(feature = "sqlite")]
pub(crate) use rows::only_reads;
#[cfg(feature = "postgres")]
pub(crate) use setting_names::setting_names;
pub(crate) use tables::{NamedTable, first_quoted_name, tables};
