//! Panels of lines beside each other, over logarithmic axes.

use super::scale::{Scale, label};
use super::style::Look;
use super::svg::{Anchor, Svg};

/// A picture of panels, row by row. The panels of a row have one vertical axis, so that they can be compared.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    /// For those who cannot see it.
    pub(crate) description: &'a str,
    pub(crate) legend: Vec<(String, Look)>,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) x_axis: String,
    pub(crate) y_axis: String,
    pub(crate) panels: Vec<Panel>,
}

pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) series: Vec<Series>,
}

pub(crate) struct Series {
    pub(crate) look: Look,
    /// Values of both axes, in rising order of the first.
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 1_040.0;
/// Left of the first panel: the labels of the vertical axis.
const LEFT: f64 = 66.0;
const GAP: f64 = 22.0;
const PANEL_HEIGHT: f64 = 190.0;
/// Below a panel: the labels and the name of the horizontal axis. Above it: its title.
const BELOW: f64 = 46.0;
const ABOVE: f64 = 30.0;
const LEGEND_ENTRY: f64 = 168.0;
const LEGEND_LINE: f64 = 20.0;

impl Chart<'_> {
    /// The text of the SVG file.
    pub(crate) fn draw(&self) -> String {
        let in_line = ((WIDTH - 2.0 * GAP) / LEGEND_ENTRY) as usize;
        let legend_lines = self.legend.len().div_ceil(in_line) as f64;
        let top = 44.0 + legend_lines * LEGEND_LINE;
        let each = ABOVE + PANEL_HEIGHT + BELOW;
        let height = top + each * self.rows.len() as f64;
        let mut svg = Svg::new(WIDTH, height, self.title, self.description);
        svg.text((GAP, 26.0), Anchor::Start, "heading", self.title);
        for (at, (name, look)) in self.legend.iter().enumerate() {
            let x = GAP + (at % in_line) as f64 * LEGEND_ENTRY;
            let y = 48.0 + (at / in_line) as f64 * LEGEND_LINE;
            svg.polyline(&[(x, y), (x + 28.0, y)], &look.line());
            look.mark(&mut svg, (x + 14.0, y));
            svg.text((x + 34.0, y + 4.0), Anchor::Start, "legend", name);
        }
        for (at, row) in self.rows.iter().enumerate() {
            row.draw(&mut svg, top + each * at as f64 + ABOVE);
        }
        svg.finish()
    }
}

impl Row {
    /// Draws it with the upper edges of its panels at `top`.
    fn draw(&self, svg: &mut Svg, top: f64) {
        let points = || {
            let series = self.panels.iter().flat_map(|panel| &panel.series);
            series.flat_map(|series| series.points.iter().copied())
        };
        if points().next().is_none() {
            return;
        }
        let bottom = top + PANEL_HEIGHT;
        let y_scale = Scale::logarithmic(points().map(|(_, y)| y), (bottom, top));
        let panels = self.panels.len() as f64;
        let width = (WIDTH - LEFT - GAP * panels) / panels;
        svg.text_upwards((16.0, (top + bottom) / 2.0), "axis", &self.y_axis);
        for (at, panel) in self.panels.iter().enumerate() {
            let left = LEFT + (width + GAP) * at as f64;
            // With a margin, so that the marks at the ends stay inside.
            let places = (left + 8.0, left + width - 8.0);
            let x_scale = Scale::logarithmic(points().map(|(x, _)| x), places);
            for tick in y_scale.ticks() {
                let y = y_scale.place(tick);
                svg.line((left, y), (left + width, y), "grid");
                if at == 0 {
                    svg.text((left - 6.0, y + 4.0), Anchor::End, "tick", &label(tick));
                }
            }
            // The values themselves, as there are few.
            for tick in distinct(points().map(|(x, _)| x)) {
                let x = x_scale.place(tick);
                svg.line((x, bottom), (x, bottom + 4.0), "axis");
                svg.text((x, bottom + 17.0), Anchor::Middle, "tick", &label(tick));
            }
            svg.line((left, bottom), (left + width, bottom), "axis");
            let middle = left + width / 2.0;
            svg.text((middle, bottom + 34.0), Anchor::Middle, "axis", &self.x_axis);
            svg.text((middle, top - 10.0), Anchor::Middle, "panel", &panel.title);
            // The first series is drawn last, and so lies above the others.
            for series in panel.series.iter().rev() {
                let place = |(x, y): &(f64, f64)| (x_scale.place(*x), y_scale.place(*y));
                let places: Vec<_> = series.points.iter().map(place).collect();
                svg.polyline(&places, &series.look.line());
                for place in places {
                    series.look.mark(svg, place);
                }
            }
        }
    }
}

/// The values in rising order, each once.
fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}
