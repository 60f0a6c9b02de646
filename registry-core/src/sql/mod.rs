//! Reading SQL, in one place and with one lexer.
//!
//! # How SQL text is read
//!
//! 1. [`lexer`] cuts the text into tokens by the rules of its [`dialect`], without comments and white space. Text that it
//!    does not understand becomes an unknown token. From there on, nothing is certain.
//! 2. [`keyword`] turns each word into a number, so that comparing words without regard to case costs nothing.
//! 3. A reader goes over the tokens once, from left to right, and keeps only the state that its question needs:
//!
//! | file | question |
//! |---|---|
//! | [`effects`](mod@effects) | which effects does a statement have on the session and on the transaction? is it a `SELECT` that writes nothing? |
//! | [`tables`](mod@tables) | which tables does a statement name, and where? |
//! | [`rows`] | does a statement have rows, and does it only read? |
//! | [`select_shape`](mod@select_shape) | has a select an order, a limit or a lock, and how many columns? |
//! | [`setting_names`](mod@setting_names) | which custom settings of PostgreSQL may a statement set? |
//! | [`bind_variables`](mod@bind_variables) | how many bind variables does a statement have? |
//! | [`masked`](mod@masked) | what is the text without the values in it? |
//! | [`summary`](mod@summary) | what does a statement do, and to which table? |
//! | [`tag_comment`](mod@tag_comment) | may a comment with tags stand behind a statement? what is the statement without it? |
//! | [`diesel`] | where does the SQL end in the output of `debug_query`? |
//!
//! None of the readers is a parser. If a reading is uncertain, the answer is the safe one: a change of the session, a
//! transaction that may have ended, a table that is checked.

mod bind_variables;
mod dialect;
mod diesel;
mod effects;
mod keyword;
mod lexer;
mod masked;
mod rows;
mod select_shape;
#[cfg(feature = "postgres")]
mod setting_names;
mod summary;
mod tables;
mod tag_comment;
#[cfg(test)]
mod tests;

pub(crate) use self::diesel::{is_diesel_savepoint, sql_of, without_bind_values};
pub(crate) use bind_variables::count_bind_variables;
pub(crate) use dialect::Dialect;
pub(crate) use effects::{Effects, SessionEffect, TransactionEffect, effects, is_plain_select};
pub(crate) use masked::masked;
#[cfg(feature = "sqlite")]
pub(crate) use rows::{counts_changes, only_reads};
pub(crate) use rows::{may_return_rows, may_write};
pub(crate) use select_shape::{SelectShape, select_shape};
#[cfg(feature = "postgres")]
pub(crate) use setting_names::setting_names;
pub(crate) use summary::{Summary, summary};
pub(crate) use tables::{NamedTable, Names, first_quoted_name, tables};
pub(crate) use tag_comment::{is_unreserved, takes_tags, without_tags};
