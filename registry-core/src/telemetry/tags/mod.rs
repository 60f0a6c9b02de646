//! Tags in SQL: a comment behind each statement that says who has sent it, in sqlcommenter's format.
//!
//! | file | contents |
//! |---|---|
//! | [`options`] | [`SqlTags`]: which tags a program asks for |
//! | [`encoding`] | the text of the comment |
//! | [`tagger`] | the tags of one statement, from the options, the bind and the scopes |
//! | [`of_scope`] | the tags that a scope has set |
//! | [`traceparent`] | which trace a statement belongs to |

mod encoding;
mod of_scope;
mod options;
mod tagger;
mod traceparent;

pub(super) use of_scope::ScopeTags;
pub use options::SqlTags;
pub(crate) use tagger::QueryTags;
pub(super) use tagger::Tagger;
