//! Words as numbers, so that comparing two words without regard to case is one comparison of numbers.

/// A word as a number, the same in upper and lower case. Zero stands for a word that is too long for a keyword.
///
/// ASCII letters are mapped to lower case. No other character of a word is mapped to an ASCII letter.
pub(super) type Keyword = u128;

pub(super) const NONE: Keyword = 0;

#[inline]
pub(super) const fn keyword(word: &[u8]) -> Keyword {
    // In two halves of 64 bits, because shifting 64 bits is cheaper.
    let (mut first, mut second, mut at) = (0_u64, 0_u64, 0);
    if word.len() > size_of::<Keyword>() {
        return NONE;
    }
    while at < word.len() && at < size_of::<u64>() {
        first = first << 8 | (word[at] | 0x20) as u64;
        at += 1;
    }
    while at < word.len() {
        second = second << 8 | (word[at] | 0x20) as u64;
        at += 1;
    }
    (second as Keyword) << u64::BITS | first as Keyword
}

macro_rules! keywords {
    ($($name:ident)*) => {
        $(pub(super) const $name: Keyword = keyword(stringify!($name).as_bytes());)*
    };
}

keywords! {
    BRIN BTREE GIN GIST HNSW IVFFLAT SPGIST ABORT AGGREGATE ALL ALTER ANALYSE ANALYZE AND ANY ARRAY AS BEGIN BETWEEN BY CASE CHAIN CHECK
    CLUSTER COLLATION COMMENT COMMIT COMMITTED CONFLICT CONSISTENT CONSTRAINT CONSTRAINTS
    COPY CREATE DATABASE DEALLOCATE DEFAULT DEFERRABLE DEFERRED DELAYED DELETE DESC DESCRIBE DISCARD
    DISTINCT DIV DOMAIN DROP DUPLICATE ELSE END EXCEPT EXCLUSIVE EXISTS EXPLAIN EXTENDED EXTENSION
    FAIL FILTER FOREIGN FORMAT FROM FULLTEXT FUNCTION GLOB GRANT GROUP GROUPING HASH HAVING HIGH_PRIORITY
    IGNORE ILIKE IMMEDIATE IN INDEX INSERT INTERSECT INTO IS ISOLATION JOIN KEY LATERAL LEVEL LIKE LIMIT
    LIST LOAD LOCAL LOCK LOW_PRIORITY MATCH MATERIALIZED MERGE NO NOT NOTIFY OFFSET ON ONLY OPTIMIZE OR
    ORDER OVER OVERLAPS PARTITION PARTITIONS PLAN POLICY PRIMARY PROCEDURE QUERY RANGE READ
    RECURSIVE REFERENCES REFRESH REGEXP REINDEX RELEASE RENAME REPEATABLE REPLACE RETURNING REVOKE RLIKE
    ROLE ROLLBACK ROUTINE ROW RULE SAVEPOINT SCHEMA SELECT SEQUENCE SERIALIZABLE SET SETS SHOW SNAPSHOT
    SOME SPATIAL START STATISTICS STDIN STDOUT SYMMETRIC TABLE THEN TIME TO TRANSACTION
    TRIGGER TRUE TRUNCATE TYPE UNCOMMITTED UNION UNIQUE UNLOGGED UPDATE USER USING VACUUM VALUES VERBOSE
    VIEW VIRTUAL WHEN WHERE WINDOW WITH WORK WRITE XOR ZONE TEMP
    STRAIGHT_JOIN LAST_INSERT_ID SET_CONFIG PG_CATALOG PG_SETTINGS
    CLOSE DECLARE EXECUTE FETCH GLOBAL HOLD LISTEN MOVE PREPARE RESET TEMPORARY UNLISTEN WITHOUT
    COLUMNS FIRST FOR NEXT
}
