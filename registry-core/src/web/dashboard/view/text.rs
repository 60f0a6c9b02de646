//! Figures and times as text.

use std::time::{Duration, SystemTime};

/// `2026-11-27T12:00:03Z`, for machines.
pub(super) fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

/// `12:00:03`, in UTC.
pub(super) fn clock(at: SystemTime) -> String {
    let text = timestamp(at);
    text.get(11..19).unwrap_or(&text).to_owned()
}

/// The time of day, in UTC, and the day before it unless that is the day of `now`.
pub(super) fn moment(at: SystemTime, now: SystemTime) -> String {
    let (text, today) = (timestamp(at), timestamp(now));
    match (text.split_once('T'), today.split_once('T')) {
        (Some((day, _)), Some((today, _))) if day != today => format!("{day} {}", clock(at)),
        _ => clock(at),
    }
}

/// A duration with three digits and its unit, such as `1.24 ms`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        _ if seconds < 1e-3 => format!("{} µs", digits(seconds * 1e6)),
        _ if seconds < 1.0 => format!("{} ms", digits(seconds * 1e3)),
        _ if seconds < 100.0 => format!("{} s", digits(seconds)),
        _ => humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string(),
    }
}

/// A figure with three digits: `1.24`, `12.4`, `124`, `1 240`.
pub(super) fn digits(figure: f64) -> String {
    match figure {
        _ if figure == 0.0 => "0".to_owned(),
        _ if figure < 10.0 => trimmed(format!("{figure:.2}")),
        _ if figure < 100.0 => trimmed(format!("{figure:.1}")),
        _ => count(figure.round() as u64),
    }
}

/// A count with narrow spaces between thousands.
pub(super) fn count(count: u64) -> String {
    let text = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// Without zeros behind the point that say nothing.
fn trimmed(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        let of = |micros| duration(Duration::from_micros(micros));
        assert_eq!(of(0), "0 µs");
        assert_eq!(of(850), "850 µs");
        assert_eq!(of(1_240), "1.24 ms");
        assert_eq!(of(12_000), "12 ms");
        assert_eq!(of(2_500_000), "2.5 s");
        assert_eq!(of(125_000_000), "2m 5s");
        assert_eq!(count(7_009_728), "7\u{202f}009\u{202f}728");
        assert_eq!(digits(1240.4), "1\u{202f}240");
    }

    #[test]
    fn clock_is_the_time_of_day() {
        assert_eq!(clock(SystemTime::UNIX_EPOCH + Duration::from_secs(3_723)), "01:02:03");
    }

    #[test]
    fn moment_of_another_day_has_its_date() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(moment(at(3_723), at(86_399)), "01:02:03");
        assert_eq!(moment(at(3_723), at(86_400)), "1970-01-01 01:02:03");
        assert_eq!(moment(at(86_400), at(3_723)), "1970-01-02 00:00:00", "the clock was set back");
    }
}
