//! What surrounds the rows of a select: its order, its limit, its locks, and how many columns it has.

use super::dialect::Dialect;
use super::keyword::{self as word, Keyword, keyword};
use super::lexer::{Kind, Lexer};
use super::rows::ROW_LOCKS;

/// The clauses of the outermost select of a statement.
///
/// A clause inside of parentheses belongs to a subquery, to a part of a `UNION` or to a function, and does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SelectShape {
    pub(crate) has_order: bool,
    /// A `LIMIT`, an `OFFSET` or a `FETCH`.
    pub(crate) has_limit: bool,
    /// A `FOR UPDATE`, or another locking clause.
    pub(crate) has_lock: bool,
    /// The number of columns, of the first part if it is a `UNION`. `None` if the statement does not begin with
    /// `SELECT`.
    pub(crate) columns: Option<usize>,
}

/// The clauses of the outermost select. `None` if a part of the text is not understood.
pub(crate) fn select_shape(dialect: Dialect, sql: &str) -> Option<SelectShape> {
    let mut shape = SelectShape::default();
    let mut lexer = Lexer::new(dialect, sql);
    let mut list = SelectList::Before;
    let (mut depth, mut last): (usize, Keyword) = (0, word::NONE);
    loop {
        let token = lexer.next();
        let current =
            if token.kind == Kind::Word { keyword(lexer.bytes(token)) } else { word::NONE };
        match token.kind {
            Kind::End => break,
            Kind::Unknown => return None,
            Kind::Open => depth += 1,
            Kind::Close => {
                depth = depth.checked_sub(1)?;
                list = list.closed(depth);
            }
            Kind::Comma => list = list.comma(depth),
            Kind::Word => {
                list = list.word(current, depth);
                if depth == 0 {
                    shape.has_order |= last == word::ORDER && current == word::BY;
                    shape.has_limit |= [word::LIMIT, word::OFFSET, word::FETCH].contains(&current);
                    shape.has_lock |= match last {
                        word::FOR => ROW_LOCKS.contains(&current),
                        word::LOCK => current == word::IN,
                        _ => false,
                    };
                }
            }
            _ => list = list.other(),
        }
        last = current;
    }
    shape.columns = list.columns();
    Some(shape)
}

/// The columns of the first select, as they are read.
#[derive(Clone, Copy)]
enum SelectList {
    /// Nothing but opening parentheses so far.
    Before,
    Inside {
        depth: usize,
        commas: usize,
    },
    After {
        columns: usize,
    },
    /// The statement does not begin with `SELECT`.
    None,
}

impl SelectList {
    fn word(self, word: Keyword, at: usize) -> Self {
        match self {
            Self::Before if word == word::SELECT => Self::Inside { depth: at, commas: 0 },
            Self::Before => Self::None,
            Self::Inside { depth, commas } if at == depth && ENDS.contains(&word) => {
                Self::After { columns: commas + 1 }
            }
            other => other,
        }
    }

    fn comma(self, at: usize) -> Self {
        match self {
            Self::Inside { depth, commas } if at == depth => {
                Self::Inside { depth, commas: commas + 1 }
            }
            other => other.other(),
        }
    }

    /// A parenthesis was closed, and `at` is the depth outside of it.
    fn closed(self, at: usize) -> Self {
        match self {
            Self::Inside { depth, commas } if at < depth => Self::After { columns: commas + 1 },
            other => other,
        }
    }

    fn other(self) -> Self {
        if matches!(self, Self::Before) { Self::None } else { self }
    }

    fn columns(self) -> Option<usize> {
        match self {
            Self::Inside { commas, .. } => Some(commas + 1),
            Self::After { columns } => Some(columns),
            Self::Before | Self::None => None,
        }
    }
}

/// The words after a list of columns.
const ENDS: [Keyword; 8] = [
    word::FROM,
    keyword(b"WHERE"),
    word::GROUP,
    word::ORDER,
    word::LIMIT,
    word::UNION,
    word::INTERSECT,
    word::EXCEPT,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(sql: &str) -> SelectShape {
        select_shape(Dialect::Postgres, sql).expect("it can be read")
    }

    #[test]
    fn only_clauses_of_the_outermost_select_count() {
        let plain = shape("SELECT a, b FROM t WHERE a IN (SELECT x FROM u ORDER BY x LIMIT 1)");
        assert_eq!(plain, SelectShape { columns: Some(2), ..SelectShape::default() });
        let window = shape("SELECT row_number() OVER (ORDER BY a) FROM t");
        assert!(!window.has_order);
        let parts = shape("(SELECT a FROM t ORDER BY a LIMIT 1) UNION (SELECT a FROM u)");
        assert_eq!(parts, SelectShape { columns: Some(1), ..SelectShape::default() });
        assert!(shape("(SELECT a FROM t) UNION (SELECT a FROM u) ORDER BY 1").has_order);
        assert!(!shape("SELECT \"order\", 'ORDER BY' FROM t").has_order);
    }

    #[test]
    fn order_limit_and_locks_are_found() {
        let all = shape("select a from t order by a limit $1 offset $2 for no key update");
        assert!(all.has_order && all.has_limit && all.has_lock);
        assert!(shape("SELECT a FROM t OFFSET 1").has_limit);
        assert!(shape("SELECT a FROM t FETCH FIRST 1 ROW ONLY").has_limit);
        assert!(shape("SELECT a FROM t FOR SHARE").has_lock);
        assert!(!shape("SELECT substring(a FOR 3) FROM t").has_lock);
        let mysql = select_shape(Dialect::Mysql, "SELECT `a` FROM `t` LOCK IN SHARE MODE");
        assert!(mysql.expect("it can be read").has_lock);
    }

    #[test]
    fn columns_are_counted() {
        let columns = |sql| shape(sql).columns;
        assert_eq!(columns("SELECT 1"), Some(1));
        assert_eq!(columns("SELECT DISTINCT ON (a, b) a, f(b, c), (SELECT d, e) FROM t"), Some(3));
        assert_eq!(columns("((SELECT a, b FROM t) UNION (SELECT c, d FROM u))"), Some(2));
        assert_eq!(columns("(SELECT 1, 2) UNION (SELECT 3, 4)"), Some(2));
        assert_eq!(columns("WITH t AS (SELECT 1, 2) SELECT * FROM t"), None);
        assert_eq!(columns("VALUES (1, 2)"), None);
    }

    #[test]
    fn text_that_is_not_understood_has_no_shape() {
        assert_eq!(select_shape(Dialect::Postgres, "SELECT 'a"), None);
        assert_eq!(select_shape(Dialect::Postgres, "SELECT 1)"), None);
    }
}
