//! The meaning of words by their position.
//!
//! Before a parenthesis, a word may be a keyword, a type, or the name of a function, of a table or of a common table
//! expression.

use super::functions;
use crate::sql::dialect::Dialect::{self, Mysql, Postgres, Sqlite};
use crate::sql::keyword::{self as word, Keyword};

/// The kind of call of a word before a parenthesis.
pub(super) enum Call {
    /// No call: the word is a keyword.
    Keyword,
    /// No call after an operand, where the word is a keyword. Elsewhere it can be the name of a function.
    KeywordBehindOperand,
    /// A function that leaves the session unchanged.
    Harmless,
    /// `set_config`, whose effect ends with the transaction if its third argument is `true`.
    SetConfig,
    /// `LAST_INSERT_ID`, which sets its value if it has an argument.
    LastInsertId,
    /// An unknown function, or no function.
    Unknown,
}

/// The kind of call of the word `name`, which follows the word `before`.
pub(super) fn classify_call(
    dialect: Dialect,
    keyword: Keyword,
    before: Keyword,
    name: &[u8],
) -> Call {
    match (keyword, dialect) {
        _ if is_reserved(dialect, keyword) => Call::Keyword,
        (word::BY, _) if matches!(before, word::ORDER | word::GROUP | word::PARTITION) => {
            Call::Keyword
        }
        (word::KEY, _) if matches!(before, word::PRIMARY | word::FOREIGN | word::DUPLICATE) => {
            Call::Keyword
        }
        (word::MATERIALIZED, _) if matches!(before, word::AS | word::NOT) => Call::Keyword,
        (word::CONFLICT, _) if before == word::ON => Call::Keyword,
        (word::SETS, _) if before == word::GROUPING => Call::Keyword,
        (word::ZONE, _) if before == word::TIME => Call::Keyword,
        (word::FIRST | word::NEXT, Postgres) if before == word::FETCH => Call::Keyword,
        (word::FOR, Postgres) if before == word::COLLATION => Call::Keyword,
        (word::STDIN, Postgres) if before == word::FROM => Call::Keyword,
        (word::STDOUT, Postgres) if before == word::TO => Call::Keyword,
        (word::INSERT, _) if before == word::THEN => Call::Keyword,
        (
            word::BRIN
            | word::BTREE
            | word::GIN
            | word::GIST
            | word::HASH
            | word::HNSW
            | word::IVFFLAT
            | word::SPGIST,
            Postgres,
        ) if before == word::USING => Call::Keyword,
        (word::RANGE | word::LIST | word::HASH, _) if before == word::BY => Call::Keyword,
        (
            word::COLUMNS
            | word::OVER
            | word::FILTER
            | word::SET
            | word::JOIN
            | word::IS
            | word::LIKE
            | word::ILIKE
            | word::OVERLAPS
            | word::EXCEPT
            | word::RETURNING,
            _,
        ) => Call::KeywordBehindOperand,
        (word::SET_CONFIG, Postgres) => Call::SetConfig,
        (word::LAST_INSERT_ID, Mysql) => Call::LastInsertId,
        _ if functions::is_harmless(dialect, name) => Call::Harmless,
        _ => Call::Unknown,
    }
}

/// Whether a word is never the name of a function, unless it is in quotes.
pub(super) fn is_reserved(dialect: Dialect, keyword: Keyword) -> bool {
    match keyword {
        word::ALL
        | word::AND
        | word::ANY
        | word::AS
        | word::BETWEEN
        | word::CASE
        | word::CHECK
        | word::CONSTRAINT
        | word::CREATE
        | word::DEFAULT
        | word::DISTINCT
        | word::ELSE
        | word::EXCEPT
        | word::EXISTS
        | word::FOREIGN
        | word::FROM
        | word::GROUP
        | word::HAVING
        | word::IN
        | word::INTERSECT
        | word::INTO
        | word::LIMIT
        | word::NOT
        | word::ON
        | word::OR
        | word::ORDER
        | word::PRIMARY
        | word::REFERENCES
        | word::SELECT
        | word::SOME
        | word::TABLE
        | word::THEN
        | word::TO
        | word::UNION
        | word::UNIQUE
        | word::USING
        | word::VALUES
        | word::WHEN
        | word::WHERE
        | word::WITH => true,
        word::OFFSET => dialect != Mysql,
        word::ARRAY
        | word::GRANT
        | word::LATERAL
        | word::ONLY
        | word::RETURNING
        | word::ROW
        | word::SYMMETRIC
        | word::WINDOW => dialect == Postgres,
        word::BY
        | word::IS
        | word::JOIN
        | word::KEY
        | word::LIKE
        | word::MATCH
        | word::OVER
        | word::RANGE
        | word::RECURSIVE
        | word::REGEXP
        | word::SET
        | word::UPDATE => dialect != Postgres,
        word::DIV
        | word::FULLTEXT
        | word::IGNORE
        | word::INDEX
        | word::PARTITION
        | word::RLIKE
        | word::SPATIAL
        | word::XOR => dialect == Mysql,
        word::CONFLICT | word::FILTER | word::GLOB | word::MATERIALIZED => dialect == Sqlite,
        _ => false,
    }
}

/// Whether a name after the word `before` is not the name of a function. Only words are listed after which no expression can
/// begin in the dialect.
pub(super) fn precedes_name(
    before: Keyword,
    dialect: Dialect,
    is_definition: bool,
    is_copy: bool,
) -> bool {
    match before {
        word::INTO
        | word::TABLE
        | word::REFERENCES
        | word::AS
        | word::WITH
        | word::RECURSIVE
        | word::EXISTS => true,
        word::ONLY => dialect == Postgres,
        word::INSERT
        | word::REPLACE
        | word::IGNORE
        | word::LOW_PRIORITY
        | word::HIGH_PRIORITY
        | word::DELAYED => dialect == Mysql,
        word::COPY => is_copy,
        word::ON
        | word::VIEW
        | word::FUNCTION
        | word::PROCEDURE
        | word::ROUTINE
        | word::AGGREGATE
        | word::TYPE
        | word::INDEX
        | word::KEY => is_definition,
        word::UNIQUE | word::FULLTEXT | word::SPATIAL => is_definition && dialect == Mysql,
        word::USING => is_definition && dialect == Sqlite,
        _ => false,
    }
}

/// Whether `INTO` after this word names the target of the rows, unlike the `INTO` of a `SELECT`, which creates or sets
/// something.
pub(super) fn may_precede_into(before: Keyword, dialect: Dialect) -> bool {
    match before {
        word::INSERT | word::MERGE => true,
        word::REPLACE | word::IGNORE => dialect != Postgres,
        word::LOW_PRIORITY | word::HIGH_PRIORITY | word::DELAYED => dialect == Mysql,
        word::ABORT | word::ROLLBACK | word::FAIL => dialect == Sqlite,
        _ => false,
    }
}

/// Whether a word is part of the mode of a transaction.
pub(super) fn is_transaction_mode(keyword: Keyword) -> bool {
    matches!(
        keyword,
        word::COMMITTED
            | word::CONSISTENT
            | word::DEFERRABLE
            | word::DEFERRED
            | word::EXCLUSIVE
            | word::IMMEDIATE
            | word::ISOLATION
            | word::LEVEL
            | word::NOT
            | word::ONLY
            | word::READ
            | word::REPEATABLE
            | word::SERIALIZABLE
            | word::SNAPSHOT
            | word::TRANSACTION
            | word::UNCOMMITTED
            | word::WITH
            | word::WORK
            | word::WRITE
    )
}

/// Whether a word makes the created object temporary, in PostgreSQL.
pub(super) fn is_temporary(keyword: Keyword) -> bool {
    matches!(keyword, word::TEMP | word::TEMPORARY | word::LOCAL | word::GLOBAL)
}

/// Whether a name or a literal of PostgreSQL begins with the name of the temporary schema.
pub(super) fn begins_with_temporary_schema(token: &[u8]) -> bool {
    let quotes = token.iter().take_while(|byte| matches!(byte, b'\'' | b'"' | b' ')).count();
    token[quotes..].get(..7).is_some_and(|text| text.eq_ignore_ascii_case(b"pg_temp"))
}

/// Whether `CREATE`, `ALTER` and `DROP` of such an object leave the session unchanged, in PostgreSQL.
pub(super) fn is_harmless_to_define(keyword: Keyword) -> bool {
    matches!(
        keyword,
        word::COLLATION
            | word::DATABASE
            | word::DOMAIN
            | word::EXTENSION
            | word::POLICY
            | word::ROLE
            | word::SCHEMA
            | word::SEQUENCE
            | word::STATISTICS
            | word::TYPE
            | word::USER
    )
}
