//! Reading a [`Value`] into the type of an option.

use std::fmt;
use std::time::Duration;

use super::keys::did_you_mean;
use super::value::Value;

/// A type that can be read from a [`Value`]: from a typed value, or from a string, because an environment variable is
/// always a string.
pub(super) trait FromValue: Sized {
    /// # Errors
    ///
    /// The message says what was expected. It never repeats a string, because that may be a password in the wrong
    /// place.
    fn from_value(value: &Value) -> Result<Self, String>;
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Result<Self, String> {
        whole_number(value, Self::MAX, "a whole number, such as 10")
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Result<Self, String> {
        whole_number(value, Self::MAX, "a whole number, such as 1000000")
    }
}

/// Reads a number from 0 to `max`, which is the largest of its type. `what` names it in the message.
fn whole_number<T>(value: &Value, max: T, what: &str) -> Result<T, String>
where
    T: TryFrom<i128> + Into<i128> + fmt::Display + Copy,
{
    let number = match value {
        Value::Integer(number) => *number,
        Value::Text(text) => text.trim().parse().unwrap_or(-1),
        _ => -1,
    };
    if number > max.into() {
        return Err(format!("too large: {max} is the most"));
    }
    T::try_from(number).map_err(|_| match value {
        Value::Integer(_) => format!("expected {what}, found a negative number"),
        value => expected(what, value),
    })
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(value) => Ok(*value),
            Value::Text(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
            Value::Text(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(expected("true or false", value)),
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(expected("a text", value)),
        }
    }
}

impl FromValue for Duration {
    fn from_value(value: &Value) -> Result<Self, String> {
        let has_unit = match value {
            Value::Integer(_) | Value::Float(_) => false,
            Value::Text(text) => !text.trim().bytes().all(|b| b.is_ascii_digit() || b == b'.'),
            _ => true,
        };
        if !has_unit {
            return Err("a duration needs a unit: write \"30s\" or \"500ms\"".to_owned());
        }
        match value {
            Value::Text(text) => match humantime::parse_duration(text.trim()) {
                Err(humantime::DurationError::NumberOverflow) => {
                    return Err("too long for a duration".to_owned());
                }
                read => read.ok(),
            },
            _ => None,
        }
        .ok_or_else(|| {
            expected("a duration with its unit, such as \"30s\", \"500ms\" or \"10min\"", value)
        })
    }
}

/// An option that can be switched off: `"none"`.
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) if text.trim().eq_ignore_ascii_case("none") => Ok(None),
            _ => match T::from_value(value) {
                Ok(value) => Ok(Some(value)),
                Err(message) => Err(format!("{message}; or \"none\"")),
            },
        }
    }
}

/// A single string is read as a list of one string, because an environment variable cannot be a list.
impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(vec![text.clone()]),
            Value::List(items) => items.iter().map(String::from_value).collect(),
            _ => Err(expected("a list of texts", value)),
        }
    }
}

/// The message: what was expected, and the kind of value that was found. A string is not repeated, because it may be a
/// password.
pub(super) fn expected(what: &str, found: &Value) -> String {
    match found {
        Value::Text(_) => format!("expected {what}, found another text"),
        found => format!("expected {what}, found {}", found.kind()),
    }
}

pub(super) fn expected_table(found: &Value) -> String {
    format!("expected a table, found {}", found.kind())
}

/// Reads one of several words, in any case.
pub(super) fn one_of<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, String> {
    let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let what = match quoted.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        all => all.join(""),
    };
    let Value::Text(text) = value else { return Err(expected(&what, value)) };
    let text = text.trim().to_ascii_lowercase();
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        expected(&what, value) + &did_you_mean(&text, words.iter().map(|(word, _)| *word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn numbers_and_booleans_are_read_from_text_as_well() {
        assert_eq!(u32::from_value(&Value::Integer(10)), Ok(10));
        assert_eq!(u32::from_value(&text("10")), Ok(10));
        assert_eq!(bool::from_value(&Value::Bool(true)), Ok(true));
        assert_eq!(bool::from_value(&text("False")), Ok(false));
    }

    #[test]
    fn a_wrong_type_says_what_was_expected() {
        assert_eq!(
            u32::from_value(&Value::Integer(-1)),
            Err("expected a whole number, such as 10, found a negative number".to_owned())
        );
        assert_eq!(
            u32::from_value(&text("ten")),
            Err("expected a whole number, such as 10, found another text".to_owned())
        );
        assert_eq!(
            bool::from_value(&Value::Integer(1)),
            Err("expected true or false, found a number".to_owned())
        );
        assert_eq!(
            <Vec<String>>::from_value(&Value::List(vec![Value::Integer(1)])),
            Err("expected a text, found a number".to_owned())
        );
    }

    #[test]
    fn a_duration_without_a_unit_is_refused() {
        for (written, duration) in [
            ("30s", Duration::from_secs(30)),
            ("500ms", Duration::from_millis(500)),
            ("10min", Duration::from_secs(600)),
            ("1h 30m", Duration::from_secs(5400)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(Duration::from_value(&text(written)), Ok(duration));
        }
        for unitless in [Value::Integer(30), text("30")] {
            assert_eq!(
                Duration::from_value(&unitless),
                Err("a duration needs a unit: write \"30s\" or \"500ms\"".to_owned())
            );
        }
        assert_eq!(
            Duration::from_value(&text("soon")),
            Err("expected a duration with its unit, such as \"30s\", \"500ms\" or \"10min\", \
                 found another text"
                .to_owned())
        );
    }

    #[test]
    fn numbers_that_are_too_large_are_reported_as_such() {
        for value in [Value::Integer(5_000_000_000), text("5000000000")] {
            assert_eq!(
                u32::from_value(&value),
                Err("too large: 4294967295 is the most".to_owned())
            );
        }
        assert_eq!(
            Duration::from_value(&text("99999999999999999y")),
            Err("too long for a duration".to_owned())
        );
    }

    #[test]
    fn none_switches_an_option_off() {
        assert_eq!(<Option<Duration>>::from_value(&text("none")), Ok(None));
        assert_eq!(<Option<u32>>::from_value(&text("5")), Ok(Some(5)));
        assert_eq!(
            <Option<u32>>::from_value(&text("off")),
            Err("expected a whole number, such as 10, found another text; or \"none\"".to_owned())
        );
    }

    #[test]
    fn a_text_is_read_as_a_list_of_one() {
        assert_eq!(<Vec<String>>::from_value(&text("SET x = 1")), Ok(vec!["SET x = 1".to_owned()]));
    }
}
