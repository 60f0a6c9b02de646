//! Groups of horizontal bars, each with a linear axis of its own from 0.

use super::scale::{Scale, label};
use super::style::Look;
use super::svg::{Anchor, Svg};

/// A picture of groups, two beside each other.
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    /// For those who cannot see it.
    pub(crate) description: &'a str,
    /// What the length of a bar is, with its unit.
    pub(crate) axis: &'a str,
    pub(crate) groups: Vec<Group>,
}

pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) look: Look,
    pub(crate) value: f64,
}

const WIDTH: f64 = 1_040.0;
const COLUMNS: usize = 2;
const GAP: f64 = 18.0;
/// Left of the bars: their names.
const NAMES: f64 = 150.0;
/// Right of the longest bar: its value.
const VALUE: f64 = 62.0;
const BAR: f64 = 17.0;
const ABOVE: f64 = 30.0;
const BELOW: f64 = 46.0;

impl Bars<'_> {
    /// The text of the SVG file.
    pub(crate) fn draw(&self) -> String {
        let height = |group: &Group| ABOVE + BELOW + BAR * group.bars.len() as f64;
        let rows: Vec<_> = self.groups.chunks(COLUMNS).collect();
        let heights = rows.iter().map(|row| row.iter().map(height).fold(0.0, f64::max));
        let heights: Vec<_> = heights.collect();
        let mut top = 40.0;
        let total = top + heights.iter().sum::<f64>();
        let mut svg = Svg::new(WIDTH, total, self.title, self.description);
        svg.text((GAP, 26.0), Anchor::Start, "heading", self.title);
        let column = (WIDTH - GAP) / COLUMNS as f64;
        for (row, height) in rows.iter().zip(heights) {
            for (at, group) in row.iter().enumerate() {
                let left = GAP + column * at as f64;
                group.draw(&mut svg, (left, top), column - GAP, self.axis);
            }
            top += height;
        }
        svg.finish()
    }
}

impl Group {
    fn draw(&self, svg: &mut Svg, (left, top): (f64, f64), width: f64, axis: &str) {
        svg.text((left, top + ABOVE - 10.0), Anchor::Start, "panel", &self.title);
        if self.bars.is_empty() {
            return;
        }
        let places = (left + NAMES, left + width - VALUE);
        let scale = Scale::linear(self.bars.iter().map(|bar| bar.value), places);
        let (top, bottom) = (top + ABOVE, top + ABOVE + BAR * self.bars.len() as f64);
        for tick in scale.ticks() {
            let x = scale.place(tick);
            svg.line((x, top), (x, bottom + 4.0), "grid");
            svg.text((x, bottom + 16.0), Anchor::Middle, "tick", &label(tick));
        }
        for (at, bar) in self.bars.iter().enumerate() {
            let y = top + BAR * at as f64;
            let end = scale.place(bar.value);
            svg.text((places.0 - 6.0, y + 12.5), Anchor::End, "name", &bar.name);
            svg.rect((places.0, y + 2.0), (end - places.0, BAR - 4.0), &bar.look.bar());
            svg.text((end + 5.0, y + 12.5), Anchor::Start, "tick", &label(bar.value));
        }
        svg.line((places.0, top), (places.0, bottom), "axis");
        let middle = f64::midpoint(places.0, places.1);
        svg.text((middle, bottom + 32.0), Anchor::Middle, "axis", axis);
    }
}
