use crate::chart::lines::{Chart, Panel, Row, Series};
use crate::chart::style::{Hue, Look};

const LOOK: Look = Look { hue: Hue::Blue, is_dashed: false };

fn chart(points: Vec<(f64, f64)>) -> String {
    let panel = Panel { title: "<SQLite>".to_owned(), series: vec![Series { look: LOOK, points }] };
    let row = Row { x_axis: "binds".to_owned(), y_axis: "µs".to_owned(), panels: vec![panel] };
    let legend = vec![("a & b".to_owned(), LOOK)];
    Chart { title: "a title", description: "words", legend, rows: vec![row] }.draw()
}

#[test]
fn every_point_has_a_mark_and_every_axis_a_name() {
    let text = chart(vec![(1.0, 20.0), (10.0, 6.0), (1000.0, 9.0)]);
    // One more is in the legend.
    assert_eq!(text.matches("<circle").count(), 4, "{text}");
    for word in [">binds<", ">µs<", ">1,000<", ">&lt;SQLite&gt;<", ">a &amp; b<"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
}

#[test]
fn the_same_figures_give_the_same_bytes() {
    let points = || vec![(1.0, 20.0), (10.0, 6.0)];
    assert_eq!(chart(points()), chart(points()));
}

#[test]
fn no_figures_give_an_empty_panel() {
    assert!(chart(Vec::new()).ends_with("</svg>\n"));
}
