//! Which trace a statement belongs to.

/// Whether this is a `traceparent` of W3C's Trace Context whose span is sampled:
/// `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.
pub(super) fn is_sampled(traceparent: &str) -> bool {
    let mut parts = traceparent.split('-');
    let mut part = |len: usize| {
        let is_hex = |text: &&str| {
            text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        parts.next().filter(is_hex)
    };
    let (Some(version), Some(trace), Some(span), Some(flags)) =
        (part(2), part(32), part(16), part(2))
    else {
        return false;
    };
    let is_set = |id: &str| id.bytes().any(|byte| byte != b'0');
    let is_sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
    version != "ff" && is_set(trace) && is_set(span) && is_sampled && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sampled_spans_of_valid_form_count() {
        let of =
            |flags: &str| format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        assert!(is_sampled(&of("01")) && is_sampled(&of("03")));
        assert!(!is_sampled(&of("00")) && !is_sampled(&of("02")), "not sampled");
        assert!(!is_sampled(&of("01-x")) && !is_sampled(&of("1")) && !is_sampled(&of("0X")));
        assert!(!is_sampled("") && !is_sampled("00-*/-x-01"));
        assert!(!is_sampled(&format!("00-{}-b7ad6b7169203331-01", "0".repeat(32))));
        assert!(!is_sampled(&format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16))));
        assert!(!is_sampled(&of("01").to_uppercase()));
    }
}
