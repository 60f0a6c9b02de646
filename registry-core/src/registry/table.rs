//! Tables of text, as reports print them.

use std::fmt;

use crate::tone::Tone;

/// A cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in a colour. Control characters are escaped: they would break the table, or act on the terminal.
    pub(super) fn toned(text: impl fmt::Display, tone: Tone) -> Self {
        Self { text: visible(&text.to_string()), tone }
    }

    pub(super) fn new(text: impl fmt::Display) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Writes rows, of which the first row has the headings. Each column is as wide as its widest cell. The first two are
/// text and aligned to the left, the others are numbers, and the last one is not padded.
pub(super) fn write_table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    rows: &[[Cell; N]],
    has_colours: bool,
) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| width(&row[column].text)).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or_default()).collect();
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            writeln!(f)?;
        }
        for (column, Cell { text, tone }) in row.iter().enumerate() {
            let padding = widths[column] - self::width(text);
            let text = tone.paint(text, has_colours);
            match column {
                _ if column + 1 == N => write!(f, "{text}")?,
                0 | 1 => write!(f, "{text}{:padding$}  ", "")?,
                _ => write!(f, "{:padding$}{text}  ", "")?,
            }
        }
    }
    Ok(())
}

/// The text with its control characters escaped, as in `\n`, and those that turn the direction of a line.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() || turns(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

/// Whether a character turns the direction of what follows, beyond its cell, or ends a line (Unicode's annex 9).
pub(crate) fn turns(character: char) -> bool {
    matches!(
        u32::from(character),
        0x061C | 0x200E | 0x200F | 0x2028..=0x202E | 0x2066..=0x2069
    )
}

/// How many columns of a terminal a text takes.
fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// How many columns a character takes: 2 if it is East Asian and wide, or an emoji (Unicode's annex 11), 0 if it is
/// drawn onto the one before it, else 1. Only whole blocks are told apart, as names need it; a crate with every character
/// is not worth a dependency here.
fn columns(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F
        | 0x2E80..=0x303E
        | 0x3041..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE4F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F680..=0x1F6FF
        | 0x1F900..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table(Vec<[Cell; 3]>, bool);

    impl fmt::Display for Table {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_table(f, &self.0, self.1)
        }
    }

    #[test]
    fn wide_characters_take_two_columns_and_combining_ones_none() {
        let rows = [["name", "state", "n"], ["顧客", "ok", "1"], ["cafe\u{301}", "ok", "2"]];
        let table = Table(rows.map(|row| row.map(Cell::new)).into(), false);
        assert_eq!(
            table.to_string(),
            "name  state  n\n\
             顧客  ok     1\n\
             cafe\u{301}  ok     2"
        );
    }

    #[test]
    fn control_characters_of_a_cell_are_escaped() {
        let row = [Cell::new("a\u{1b}[31m"), Cell::new("b\nc"), Cell::new("d")];
        assert_eq!(Table(vec![row], false).to_string(), "a\\u{1b}[31m  b\\nc  d");
        let row = [Cell::new("a\u{202e}b"), Cell::new("c"), Cell::new("d\u{2066}")];
        assert_eq!(Table(vec![row], false).to_string(), "a\\u{202e}b  c  d\\u{2066}");
    }

    #[test]
    fn colours_take_no_column() {
        let row = |tone| [Cell::toned("ab", tone), Cell::new("c"), Cell::new("d")];
        let wider = [Cell::new("abcd"), Cell::new("c"), Cell::new("d")];
        let rows = vec![wider, row(Tone::Warning)];
        assert_eq!(Table(rows, true).to_string(), "abcd  c  d\n\u{1b}[33mab\u{1b}[0m    c  d");
    }
}
