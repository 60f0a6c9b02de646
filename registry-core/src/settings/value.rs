use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// What a settings loader produced, before its meaning is known.
///
/// Reading it into types is a second step, as a `Deserialize` of those types would stop at the first
/// mistake. It has no `Debug`: any text in it may be a password.
#[derive(Clone)]
pub(super) enum Value {
    Unset,
    Bool(bool),
    Integer(i128),
    Float,
    Text(String),
    List(Vec<Value>),
    Table(Table),
}

pub(super) type Table = BTreeMap<String, Value>;

impl Value {
    /// What it is, without showing it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Unset => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "a number",
            Self::Float => "a decimal number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a database")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Float)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Unset)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Unset)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table = Table::new();
        while let Some((key, value)) = entries.next_entry()? {
            table.insert(key, value);
        }
        Ok(Value::Table(table))
    }
}

/// A type that can be read from a [`Value`], typed or, as from an environment variable, as text.
pub(super) trait FromValue: Sized {
    /// `Err` says what was expected, and never repeats a text: it may be a password gone astray.
    fn from_value(value: &Value) -> Result<Self, String>;
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Result<Self, String> {
        let number = match value {
            Value::Integer(number) => *number,
            Value::Text(text) => text.trim().parse().unwrap_or(-1),
            _ => -1,
        };
        if number > Self::MAX.into() {
            return Err(format!("too large: {} is the most", Self::MAX));
        }
        Self::try_from(number).map_err(|_| expected("a whole number, such as 10", value))
    }
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
            Value::Integer(_) | Value::Float => false,
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

/// One text stands for a list of one, as an environment variable cannot be a list.
impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(vec![text.clone()]),
            Value::List(items) => items.iter().map(String::from_value).collect(),
            _ => Err(expected("a list of texts", value)),
        }
    }
}

pub(super) fn expected(what: &str, found: &Value) -> String {
    match found {
        Value::Text(_) => format!("expected {what}, found another text"),
        found => format!("expected {what}, found {}", found.kind()),
    }
}

pub(super) fn expected_table(found: &Value) -> String {
    format!("expected a table, found {}", found.kind())
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
            Err("expected a whole number, such as 10, found a number".to_owned())
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
    fn durations_have_units() {
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
    fn numbers_that_are_too_large_are_called_so() {
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
    fn one_text_is_a_list_of_one() {
        assert_eq!(<Vec<String>>::from_value(&text("SET x = 1")), Ok(vec!["SET x = 1".to_owned()]));
    }
}
