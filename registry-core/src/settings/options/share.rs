//! The type of the option `max_reads_on_primary`.

use std::fmt;

use serde::Serializer;

use crate::settings::from_value::{FromValue, expected};
use crate::settings::value::Value;

/// A part of a whole, from nothing to all of it.
///
/// In settings a number from 0 to 1, such as `0.5`, or a text with a percentage, such as `"50%"`. In code
/// [`Share::percent`], or a number from 0 to 1.
///
/// ```
/// use registry_core::Share;
///
/// assert_eq!(Share::from(0.5), Share::percent(50));
/// assert_eq!(Share::percent(50).to_string(), "50%");
/// ```
///
/// A number that is not from 0 to 1 makes a share that is an error when the registry is built.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share {
    /// `None` if what was given is no share.
    millionths: Option<u32>,
}

const WHOLE: u32 = 1_000_000;
const PERCENT: u32 = WHOLE / 100;

impl Share {
    /// So many hundredths: `Share::percent(50)` is a half.
    ///
    /// More than 100 is an error when the registry is built.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self { millionths: if percent > 100 { None } else { Some(percent * PERCENT) } }
    }

    /// Whether it is from 0 to 1.
    pub(in crate::settings) fn is_valid(self) -> bool {
        self.millionths.is_some()
    }

    /// This share of `whole`, rounded down: at least 1, unless the share or the whole is 0.
    pub(crate) fn of(self, whole: u32) -> u32 {
        // One that is not valid is an error when the registry is built.
        let millionths = self.millionths.unwrap_or_default();
        if millionths == 0 {
            return 0;
        }
        let share = u64::from(whole) * u64::from(millionths) / u64::from(WHOLE);
        u32::try_from(share).unwrap_or(whole).max(1).min(whole)
    }
}

/// A number from 0 to 1.
impl From<f64> for Share {
    fn from(share: f64) -> Self {
        if !(0.0..=1.0).contains(&share) {
            return Self { millionths: None };
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 0 to a million"
        )]
        let millionths = (share * f64::from(WHOLE)).round() as u32;
        // No share but 0 becomes nothing.
        let least = u32::from(share > 0.0);
        Self { millionths: Some(millionths.max(least)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.millionths {
            Some(millionths) => write!(f, "{}%", f64::from(millionths) / f64::from(PERCENT)),
            None => f.write_str("not a share"),
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({self})")
    }
}

impl serde::Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromValue for Share {
    fn from_value(value: &Value) -> Result<Self, String> {
        let share = match value {
            Value::Integer(0) => Some(0.0),
            Value::Integer(1) => Some(1.0),
            Value::Float(share) => Some(*share),
            Value::Text(text) => match text.trim().strip_suffix('%') {
                Some(percent) => percent.trim().parse().ok().map(|percent: f64| percent / 100.0),
                None => text.trim().parse().ok(),
            },
            _ => None,
        };
        match share.map(Self::from) {
            Some(share) if share.is_valid() => Ok(share),
            _ => Err(expected("a share from 0 to 1, such as 0.5 or \"50%\"", value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_from_0_to_1_or_a_percentage() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (value, percent) in [
            (Value::Float(0.5), 50),
            (Value::Integer(1), 100),
            (Value::Integer(0), 0),
            (text("0.25"), 25),
            (text("1"), 100),
            (text("50%"), 50),
            (text(" 7 % "), 7),
        ] {
            assert_eq!(Share::from_value(&value), Ok(Share::percent(percent)));
        }
        for value in [
            Value::Float(1.01),
            Value::Float(-0.1),
            Value::Float(f64::NAN),
            Value::Integer(50),
            text("101%"),
            text("-1%"),
            text("half"),
            text("inf"),
            Value::Bool(true),
        ] {
            let message = Share::from_value(&value).unwrap_err();
            assert!(
                message.starts_with("expected a share from 0 to 1, such as 0.5 or \"50%\", found "),
                "{message}"
            );
        }
    }

    #[test]
    fn a_share_from_code_that_is_none_is_not_valid() {
        for share in [Share::percent(101), Share::from(-0.5), Share::from(f64::NAN)] {
            assert!(!share.is_valid());
            assert_eq!(format!("{share:?}"), "Share(not a share)");
        }
        assert!(Share::percent(0).is_valid() && Share::from(1.0).is_valid());
    }

    #[test]
    fn a_share_of_connections_is_rounded_down_and_at_least_one_unless_it_is_nothing() {
        for (share, whole, expected) in [
            (Share::percent(50), 10, 5),
            (Share::percent(50), 3, 1),
            (Share::percent(50), 1, 1),
            (Share::percent(1), 10, 1),
            (Share::from(1e-9), 10, 1),
            (Share::percent(0), 10, 0),
            (Share::percent(100), u32::MAX, u32::MAX),
            (Share::percent(100), 0, 0),
        ] {
            assert_eq!(share.of(whole), expected, "{share} of {whole}");
        }
        assert_eq!(Share::from(0.125).to_string(), "12.5%");
        assert_eq!(serde_json::to_value(Share::percent(50)).unwrap(), "50%");
    }
}
