//! What words mean by where they stand.
//!
//! Before a parenthesis, a word may be a keyword, a type, or the name of a function, of a table or of a common table expression.

use super::functions;
use crate::sql::dialect::Dialect::{self, Mysql, Postgres, Sqlite};
use crate::sql::keyword::{self as word, Keyword};

/// What a word before a parenthesis calls.
pub(super) enum Call {
    /// No function: it is a keyword.
    None,
    /// No function, if it stands behind an operand. Elsewhere it can be the name of one.
    NoneBehindOperand,
    /// A function that leaves nothing behind.
    Harmless,
    /// `set_config`.
    IfLocal,
    /// `LAST_INSERT_ID`, which sets what it returns if it is given a value.
    IfEmpty,
    /// A function of which nothing is known, or no function at all.
    Other,
}

/// What the word `name` calls, which stands behind the word `before`.
pub(super) fn call(dialect: Dialect, keyword: Keyword, before: Keyword, name: &[u8]) -> Call {
    match (keyword, dialect) {
        _ if is_reserved(dialect, keyword) => Call::None,
        (word::BY, _) if matches!(before, word::ORDER | word::GROUP | word::PARTITION) => {
            Call::None
        }
        (word::KEY, _) if matches!(before, word::PRIMARY | word::FOREIGN | word::DUPLICATE) => {
            Call::None
        }
        (word::MATERIALIZED, _) if matches!(before, word::AS | word::NOT) => Call::None,
        (word::CONFLICT, _) if before == word::ON => Call::None,
        (word::SETS, _) if before == word::GROUPING => Call::None,
        (word::ZONE, _) if before == word::TIME => Call::None,
        (word::FIRST | word::NEXT, Postgres) if before == word::FETCH => Call::None,
        (word::FOR, Postgres) if before == word::COLLATION => Call::None,
        (word::STDIN, Postgres) if before == word::FROM => Call::None,
        (word::STDOUT, Postgres) if before == word::TO => Call::None,
        (word::INSERT, _) if before == word::THEN => Call::None,
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
        ) if before == word::USING => Call::None,
        (word::RANGE | word::LIST | word::HASH, _) if before == word::BY => Call::None,
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
        ) => Call::NoneBehindOperand,
        (word::SET_CONFIG, Postgres) => Call::IfLocal,
        (word::LAST_INSERT_ID, Mysql) => Call::IfEmpty,
        _ if functions::is_harmless(dialect, name) => Call::Harmless,
        _ => Call::Other,
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

/// Whether the name behind the word `before` is not that of a function. Only words are here behind which
/// no expression can begin, in the dialect.
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

/// Whether `INTO` behind this word names where rows go, and not what a `SELECT` makes or sets.
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

/// Whether a word makes what is created with it temporary, in PostgreSQL.
pub(super) fn is_temporary(keyword: Keyword) -> bool {
    matches!(keyword, word::TEMP | word::TEMPORARY | word::LOCAL | word::GLOBAL)
}

/// Whether a name or a literal of PostgreSQL's begins with that of the schema of temporary things.
pub(super) fn begins_with_temporary_schema(token: &[u8]) -> bool {
    let quotes = token.iter().take_while(|byte| matches!(byte, b'\'' | b'"' | b' ')).count();
    token[quotes..].get(..7).is_some_and(|text| text.eq_ignore_ascii_case(b"pg_temp"))
}

/// Whether PostgreSQL's `CREATE`, `ALTER` and `DROP` leave nothing behind in the session that defines such a
/// thing.
pub(super) fn is_definable(keyword: Keyword) -> bool {
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
