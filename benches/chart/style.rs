//! Colours, and the mark of each series.

use std::fmt::Write as _;

use super::svg::Svg;

/// What a series looks like. Colour alone would not do for those who see no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) hue: Hue,
    /// Dashed lines and hollow marks.
    pub(crate) is_dashed: bool,
}

/// A colour that comes with a mark of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hue {
    Blue,
    LightBlue,
    Orange,
    Green,
    Purple,
    Brown,
    Grey,
}

impl Hue {
    pub(crate) const ALL: [Self; 7] = [
        Self::Blue,
        Self::LightBlue,
        Self::Orange,
        Self::Green,
        Self::Purple,
        Self::Brown,
        Self::Grey,
    ];

    fn class(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::LightBlue => "sky",
            Self::Orange => "orange",
            Self::Green => "green",
            Self::Purple => "purple",
            Self::Brown => "brown",
            Self::Grey => "grey",
        }
    }

    /// The colour on a light and on a dark ground.
    pub(crate) fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Blue => ("#0550ae", "#79b8ff"),
            Self::LightBlue => ("#1b8fd6", "#39c5f4"),
            Self::Orange => ("#c2500a", "#ff9b50"),
            Self::Green => ("#0f7f55", "#4cd39b"),
            Self::Purple => ("#8a3fa8", "#d9a0f0"),
            Self::Brown => ("#7a5c00", "#e3c34b"),
            Self::Grey => ("#6e7781", "#8b949e"),
        }
    }

    /// The mark at a point of a line.
    fn mark(self, svg: &mut Svg, at: (f64, f64), class: &str) {
        match self {
            Self::Blue | Self::Grey => svg.circle(at, 3.2, class),
            Self::LightBlue => svg.circle(at, 2.2, class),
            Self::Orange => {
                svg.polygon(at, &[(-2.8, -2.8), (2.8, -2.8), (2.8, 2.8), (-2.8, 2.8)], class);
            }
            Self::Green => svg.polygon(at, &[(0.0, -3.6), (3.4, 2.6), (-3.4, 2.6)], class),
            Self::Purple => {
                svg.polygon(at, &[(0.0, -3.8), (3.8, 0.0), (0.0, 3.8), (-3.8, 0.0)], class);
            }
            Self::Brown => svg.polygon(at, &[(-3.4, -2.6), (3.4, -2.6), (0.0, 3.6)], class),
        }
    }
}

impl Look {
    /// The classes of a line of this series.
    pub(crate) fn line(self) -> String {
        let dashes = if self.is_dashed { " dashed" } else { "" };
        format!("series {}{dashes}", self.hue.class())
    }

    /// The classes of a filled bar of this series.
    pub(crate) fn bar(self) -> String {
        let pale = if self.is_dashed { " pale" } else { "" };
        format!("bar {}{pale}", self.hue.class())
    }

    /// Draws the mark at a point of a line.
    pub(crate) fn mark(self, svg: &mut Svg, at: (f64, f64)) {
        let hollow = if self.is_dashed { " hollow" } else { "" };
        self.hue.mark(svg, at, &format!("mark {}{hollow}", self.hue.class()));
    }
}

/// The style sheet. Custom properties would be shorter, but not every program that shows SVG knows them.
pub(crate) fn sheet() -> String {
    let mut sheet = String::from(
        "text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 11px; }
text.heading { font-size: 15px; font-weight: 600; }
text.panel { font-size: 12px; font-weight: 600; }
line.grid, line.axis { stroke-width: 1; }
polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
polyline.blue { stroke-width: 2.6; }
polyline.dashed { stroke-dasharray: 5 3; }
.mark { stroke-width: 1.3; }
.bar.pale { fill-opacity: 0.45; }
",
    );
    sheet.push_str(&theme(|(light, _)| light));
    write!(sheet, "@media (prefers-color-scheme: dark) {{\n{}}}\n", theme(|(_, dark)| dark))
        .expect("a string takes all");
    sheet
}

fn theme(pick: impl Fn((&'static str, &'static str)) -> &'static str) -> String {
    let ground = pick(("#ffffff", "#0d1117"));
    let text = pick(("#1f2328", "#e6edf3"));
    let (quiet, grid) = (pick(("#59636e", "#9da7b1")), pick(("#e4e8ec", "#262c34")));
    let axis = pick(("#8c959f", "#6e7681"));
    let mut theme = format!(
        "rect.ground {{ fill: {ground}; }}
text {{ fill: {text}; }}
text.tick {{ fill: {quiet}; }}
line.grid {{ stroke: {grid}; }}
line.axis {{ stroke: {axis}; }}
"
    );
    for hue in Hue::ALL {
        let (class, colour) = (hue.class(), pick(hue.colours()));
        writeln!(
            theme,
            ".{class} {{ stroke: {colour}; }} .mark.{class} {{ fill: {colour}; }} .mark.hollow.{class} {{ fill: {ground}; }} \
             .bar.{class} {{ fill: {colour}; stroke: none; }}"
        )
        .expect("a string takes all");
    }
    theme
}
