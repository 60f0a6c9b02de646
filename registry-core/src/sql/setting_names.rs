//! The names of custom settings of PostgreSQL in SQL text.

use std::collections::BTreeSet;

use super::dialect::Dialect;
use super::lexer::{Kind, Lexer, unquoted};

/// The possible names of custom settings, such as `app.name`: parts with a dot between them, as words, in quotes or in a
/// literal (`set_config('app.name', ..)`). Most of the names are other names, such as names of columns.
pub(crate) fn setting_names(sql: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |name: &str| {
        if name.trim_matches('.').contains('.') {
            names.insert(name.to_owned());
        }
    };
    let mut lexer = Lexer::new(Dialect::Postgres, sql);
    let mut name = String::new();
    // Whether another part may be added to the name.
    let mut is_behind_dot = false;
    loop {
        let token = lexer.next();
        let text = lexer.text(token);
        match token.kind {
            Kind::Word | Kind::Quoted => {
                if !std::mem::take(&mut is_behind_dot) {
                    add(&std::mem::take(&mut name));
                }
                match token.kind {
                    Kind::Quoted => name.push_str(&unquoted(text)),
                    _ => name.push_str(text),
                }
            }
            Kind::Dot if !name.is_empty() => {
                name.push('.');
                is_behind_dot = true;
            }
            kind => {
                add(&std::mem::take(&mut name));
                is_behind_dot = false;
                match kind {
                    Kind::End => return names,
                    // A literal may be a name, or SQL with names in it: `DO $$ .. $$`.
                    Kind::Text | Kind::Unknown => words(text).for_each(&mut add),
                    _ => {}
                }
            }
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_however_they_are_written() {
        let found = |sql| setting_names(sql).into_iter().collect::<Vec<_>>();
        assert_eq!(found("SET app.name = 'a'; SET app . other TO x"), ["app.name", "app.other"]);
        assert_eq!(found("SELECT set_config('app.name', 'a', false)"), ["app.name"]);
        assert_eq!(found("SET \"app.name\" = 1; SET \"App\".\"x\" = 1"), ["App.x", "app.name"]);
        assert_eq!(found("DO $$ BEGIN PERFORM set_config('a.b', 'c', false); END $$"), ["a.b"]);
        assert_eq!(found("SET search_path = a, b -- c.d"), Vec::<String>::new());
    }
}
