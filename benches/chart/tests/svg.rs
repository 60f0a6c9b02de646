use crate::chart::svg::{Anchor, Svg, escape};

#[test]
fn texts_cannot_become_elements() {
    assert_eq!(escape("a < b & \"c\" > 'd'"), "a &lt; b &amp; &quot;c&quot; &gt; &#39;d&#39;");
    let mut svg = Svg::new(10.0, 10.0, "</title><script>", "]]>");
    svg.text((1.0, 2.0), Anchor::Start, "tick", "</text><script>");
    svg.text_upwards((1.0, 2.0), "tick", "<script>");
    let text = svg.finish();
    assert!(!text.contains("<script"), "{text}");
    assert!(text.contains("&lt;/text&gt;&lt;script&gt;"), "{text}");
    assert!(!text.contains("]]>"), "{text}");
}

#[test]
fn characters_that_xml_forbids_are_replaced() {
    assert_eq!(escape("a\u{0}b\u{1b}c\u{ffff}d\ne"), "a\u{fffd}b\u{fffd}c\u{fffd}d e");
}

#[test]
fn a_picture_refers_to_nothing_outside() {
    let mut svg = Svg::new(100.0, 50.0, "a title", "a description");
    svg.rect((0.0, 0.0), (1.0, 1.0), "bar");
    svg.polygon((5.0, 5.0), &[(0.0, -1.0), (1.0, 1.0)], "series");
    let text = svg.finish();
    assert!(text.starts_with(r#"<svg xmlns="http://www.w3.org/2000/svg" width="100" height="50""#));
    for word in ["href", "url(", "@import", "@font-face", "<script", "<image"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    // The name of the XML dialect, which nobody fetches.
    assert_eq!(text.matches("http").count(), 1, "{text}");
}
