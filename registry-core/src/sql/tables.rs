//! Which tables a statement names.

use std::borrow::Cow;

use super::Dialect;
use super::keyword::{self as word, Keyword, keyword};
use super::lexer::{Kind, Lexer, Token};

/// The tables that a statement names in quotes, as Diesel does, without those quotes: `schema.table` if
/// they have several parts.
///
/// What is not understood is read as well as it can be.
pub(crate) fn tables(dialect: Dialect, sql: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut names = Names::new(dialect, sql);
    std::iter::from_fn(move || {
        loop {
            let name = names.next()?;
            if std::mem::take(&mut names.is_table) {
                return Some(name);
            }
        }
    })
}

/// The first name in quotes, as [`tables`] has it.
pub(crate) fn first_name(dialect: Dialect, sql: &str) -> Option<Cow<'_, str>> {
    Names::new(dialect, sql).next()
}

/// All names in quotes.
struct Names<'a> {
    lexer: Lexer<'a>,
    /// Whether the next name would be, or the last one is, that of a table.
    is_table: bool,
}

impl<'a> Names<'a> {
    fn new(dialect: Dialect, sql: &'a str) -> Self {
        Self { lexer: Lexer::new(dialect, sql), is_table: false }
    }

    fn next(&mut self) -> Option<Cow<'a, str>> {
        let mut last: Keyword = word::NONE;
        loop {
            let token = self.lexer.next();
            let this = match token.kind {
                Kind::End => return None,
                Kind::Quoted => return Some(self.name(token)),
                Kind::Word => keyword(self.lexer.bytes(token)),
                _ => word::NONE,
            };
            self.is_table = match this {
                word::FROM | word::JOIN | word::INTO | word::ONLY => true,
                // Not `ON DUPLICATE KEY UPDATE`, where columns follow.
                word::UPDATE => last != word::KEY,
                // `FROM ("a" INNER JOIN "b" ..)`
                _ => self.is_table && token.kind == Kind::Open,
            };
            last = this;
        }
    }

    fn name(&mut self, first: Token) -> Cow<'a, str> {
        let mut name = unquoted(self.lexer.text(first));
        loop {
            let mut ahead = self.lexer.clone();
            if ahead.next().kind != Kind::Dot {
                return name;
            }
            let part = ahead.next();
            if part.kind != Kind::Quoted {
                return name;
            }
            self.lexer = ahead;
            let name = name.to_mut();
            name.push('.');
            name.push_str(&unquoted(self.lexer.text(part)));
        }
    }
}

/// A name without its quotes. A quote in it is written twice.
fn unquoted(name: &str) -> Cow<'_, str> {
    let quote = &name[name.len() - 1..];
    let inner = &name[1..name.len() - 1];
    if inner.contains(quote) { inner.replace(&quote.repeat(2), quote).into() } else { inner.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dialect is that of the quotes.
    fn found(sql: &str) -> Vec<Cow<'_, str>> {
        let dialect = if sql.contains('`') { Dialect::Mysql } else { Dialect::Postgres };
        tables(dialect, sql).collect()
    }

    #[test]
    fn tables_are_found_where_diesel_writes_them() {
        assert_eq!(found(r#"SELECT "a"."id" FROM "a" WHERE ("a"."id" = $1)"#), ["a"]);
        assert_eq!(
            found("SELECT `x`.`id` FROM (`x` INNER JOIN `s`.`y` AS `z` ON (`x`.`id` = `z`.`id`))"),
            ["x", "s.y"]
        );
        assert_eq!(found(r#"INSERT INTO "a" ("id") SELECT "b"."id" FROM ONLY "b""#), ["a", "b"]);
        assert_eq!(found(r#"UPDATE "a" SET "n" = (SELECT "b"."n" FROM "b" LIMIT $1)"#), ["a", "b"]);
        assert_eq!(found(r#"DELETE FROM "a" WHERE EXISTS (SELECT * FROM "b")"#), ["a", "b"]);
        assert_eq!(
            found(r#"(SELECT "a"."id" FROM "a") UNION (SELECT "b"."id" FROM "b")"#),
            ["a", "b"]
        );
    }

    #[test]
    fn what_is_no_table_is_passed_over() {
        assert_eq!(found(r#"SELECT 'FROM "x"', 'it''s FROM "y"' FROM "a""#), ["a"]);
        assert_eq!(found(r#"SELECT EXTRACT(DAY FROM "a"."at") FROM "b""#), ["a.at", "b"]);
        assert_eq!(found(r#"SELECT 1 FROM "od""d""#), [r#"od"d"#]);
        assert_eq!(
            found("INSERT INTO `a` (`b`) VALUES (?) ON DUPLICATE KEY UPDATE `b` = ?"),
            ["a"]
        );
        assert_eq!(found(r#"SELECT "a"."b" FROM "a" FOR UPDATE"#), ["a"]);
        assert!(found("SELECT 1").is_empty());
        assert!(found(r#"SELECT "a"#).is_empty());
    }

    #[test]
    fn tables_behind_comments_and_odd_literals_are_found() {
        assert_eq!(found("SELECT 1 -- it's a comment\nFROM \"a\""), ["a"]);
        assert_eq!(found("SELECT 1 /* it's /* a */ comment */ FROM /* x */ \"a\""), ["a"]);
        assert_eq!(found("SELECT $$it's$$, E'it\\'s' FROM \"a\""), ["a"]);
        assert_eq!(found("SELECT \"it's\" # it's\n FROM `a` -- it's\n JOIN `b`"), ["a", "b"]);
        assert_eq!(found("SELECT 1 /*!40000 FROM `a` */"), ["a"]);
        assert_eq!(found("from \"a\""), ["a"]);
        let sqlite = "SELECT 1 FROM [a]]  -- it's\n, (select * from `b`) JOIN \"c\" /* it's";
        assert_eq!(tables(Dialect::Sqlite, sqlite).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
