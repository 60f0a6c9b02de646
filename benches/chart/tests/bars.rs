use crate::chart::bars::{Bar, Bars, Group};
use crate::chart::style::{Hue, Look};

#[test]
fn bars_are_as_long_as_their_values() {
    let bar = |name: &str, value| Bar {
        name: name.to_owned(),
        look: Look { hue: Hue::Green, is_dashed: value > 50.0 },
        value,
    };
    let group =
        Group { title: "case".to_owned(), bars: vec![bar("one", 50.0), bar("<two>", 100.0)] };
    let bars = Bars { title: "title", description: "words", axis: "µs", groups: vec![group] };
    let text = bars.draw();
    let width = |class: &str| {
        let line = text.lines().find(|line| line.contains(&format!("\"{class}\""))).unwrap();
        let (_, after) = line.split_once("width=\"").unwrap();
        after.split('"').next().unwrap().parse::<f64>().unwrap()
    };
    let (one, two) = (width("bar green"), width("bar green pale"));
    assert!((two - 2.0 * one).abs() < 0.2, "{one} and {two}");
    assert!(text.contains("&lt;two&gt;"), "{text}");
}
