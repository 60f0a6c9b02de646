//! The short text of a position, which is a part of a token's.
//!
//! It is made of letters, digits, `.`, `-`, `_` and `!`, so that it needs no quoting in a cookie, a header or a URL.

use std::collections::BTreeMap;
use std::fmt;

use super::Position;
use super::gtid::{Domains, GtidSet, Identifier};

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres { system, timeline, lsn } => {
                write!(f, "p{system:x}.{timeline:x}.{lsn:x}")
            }
            Self::MariaDb(domains) => {
                f.write_str("m")?;
                for (at, (domain, Identifier { server, number })) in domains.iter().enumerate() {
                    let separator = if at > 0 { "." } else { "" };
                    write!(f, "{separator}{domain:x}-{server:x}-{number:x}")?;
                }
                Ok(())
            }
            Self::Mysql(set) => {
                f.write_str("g")?;
                for (at, (source, intervals)) in set.iter().enumerate() {
                    let separator = if at > 0 { "!" } else { "" };
                    write!(f, "{separator}{source}")?;
                    for (first, last) in intervals {
                        write!(f, ".{first}-{last}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Position {
    /// Reads what `Display` has written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.get(1..)?;
        match text.as_bytes()[0] {
            b'p' => {
                let mut parts = rest.split('.');
                let position = Self::Postgres {
                    system: hexadecimal(parts.next()?)?,
                    timeline: hexadecimal(parts.next()?)?.try_into().ok()?,
                    lsn: hexadecimal(parts.next()?)?,
                };
                parts.next().is_none().then_some(position)
            }
            b'm' => {
                let mut domains = BTreeMap::new();
                for part in rest.split('.') {
                    let (domain, identifier) = part.split_once('-')?;
                    let (server, number) = identifier.split_once('-')?;
                    let domain = hexadecimal(domain)?.try_into().ok()?;
                    let server = hexadecimal(server)?.try_into().ok()?;
                    let number = hexadecimal(number)?;
                    domains.insert(domain, Identifier { server, number });
                }
                Domains::of(domains).map(Self::MariaDb)
            }
            b'g' => {
                // As MySQL writes it.
                let sources = rest.split('!').map(|of_source| {
                    let (source, intervals) = of_source.split_once('.')?;
                    let (tag, intervals) = match intervals.split_once('.') {
                        Some((tag, rest)) if tag.starts_with(|c: char| !c.is_ascii_digit()) => {
                            (format!(":{tag}"), rest)
                        }
                        _ => (String::new(), intervals),
                    };
                    Some(format!("{source}{tag}:{}", intervals.replace('.', ":")))
                });
                let set: Option<Vec<String>> = sources.collect();
                GtidSet::parse(&set?.join(",")).map(Self::Mysql)
            }
            _ => None,
        }
    }
}

/// A number as `Display` writes it: no sign, no capital letters.
fn hexadecimal(text: &str) -> Option<u64> {
    let is_digits =
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    is_digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_position_can_be_read_again() {
        let gtids = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7,\
                     4e11fa47-71ca-11e1-9e33-c80aa9429562:1-9:tag:3";
        for position in [
            Position::Postgres { system: u64::MAX, timeline: 3, lsn: 0x16_B374_D848 },
            Position::MariaDb(Domains::parse("0-1-100,4-2-7").unwrap()),
            Position::Mysql(GtidSet::parse(gtids).unwrap()),
        ] {
            let text = position.to_string();
            assert_eq!(Position::parse(&text), Some(position), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_positions() {
        for text in [
            "", "p", "p1.2", "p1.2.3.4", "p1.2.+3", "p1.2.G", "m", "m1", "m1-", "m1-2", "m1-2-3-4",
            "g", "g1.2", "x1", "é",
        ] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }
}
