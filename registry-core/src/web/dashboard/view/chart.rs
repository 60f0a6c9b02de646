//! One chart: lines over the last minutes, as points for an SVG.

use tokio::time::Instant;

use super::super::history::{SPAN, Sample};

/// The size of a chart in the units of its SVG.
const WIDTH: f64 = 180.0;
const HEIGHT: f64 = 40.0;

/// The longest time between two samples that one line connects. In a longer one, nobody has looked. There is a short one
/// when a browser opens its next stream.
const GAP_SECONDS: f64 = 5.0;

/// A chart with its title, its figures and its lines.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// The newest figure, as text.
    pub(super) now: String,
    /// What is said beside it, such as the highest figure.
    pub(super) note: String,
    /// The figure at the upper edge, as text.
    pub(super) top: String,
    pub(super) lines: Vec<Line>,
}

/// One line of a chart, in parts: it is interrupted where nothing is known.
pub(super) struct Line {
    pub(super) class: &'static str,
    /// Whether the area below the line is filled.
    pub(super) is_area: bool,
    pub(super) parts: Vec<Vec<Point>>,
}

/// A point, from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

impl Line {
    /// A line through the figures of samples, below `top`.
    pub(super) fn new<'a>(
        class: &'static str,
        samples: impl Iterator<Item = &'a Sample>,
        now: Instant,
        top: f64,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Self {
        let mut parts: Vec<Vec<Point>> = Vec::new();
        let mut is_interrupted = true;
        for sample in samples {
            let x = WIDTH * (1.0 - (now - sample.at).as_secs_f64() / SPAN.as_secs_f64());
            let Some(figure) = figure(sample).filter(|_| x >= 0.0) else {
                is_interrupted = true;
                continue;
            };
            let y = HEIGHT * (1.0 - (figure / top).clamp(0.0, 1.0));
            let point = Point { x: rounded(x), y: rounded(y) };
            let gap = GAP_SECONDS * WIDTH / SPAN.as_secs_f64();
            match parts.last_mut() {
                Some(part)
                    if !is_interrupted && part.last().is_some_and(|last| x - last.x <= gap) =>
                {
                    part.push(point);
                }
                _ => parts.push(vec![point]),
            }
            is_interrupted = false;
        }
        Self { class, is_area: false, parts }
    }

    pub(super) fn into_area(self) -> Self {
        Self { is_area: true, ..self }
    }
}

/// The figure at the upper edge of a chart whose highest figure is `highest`: 1, 2 or 5 times a power of ten.
pub(super) fn top_of(highest: f64, at_least: f64) -> f64 {
    let highest = highest.max(at_least);
    let power = 10_f64.powf(highest.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    // A thousandth more is not worth a chart of half the height.
    let step = steps.into_iter().find(|step| highest <= step * power * 1.001);
    step.unwrap_or(10.0) * power
}

fn rounded(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn upper_edge_is_a_round_figure() {
        for (highest, top) in [(0.0, 1.0), (1.0, 1.0), (3.0, 5.0), (10.0, 10.0), (12.0, 20.0)] {
            assert_eq!(top_of(highest, 1.0), top, "{highest}");
        }
        assert!((top_of(0.0023, 0.001) - 0.005).abs() < 1e-12);
    }

    #[tokio::test(start_paused = true)]
    async fn line_is_interrupted_where_nobody_looked() {
        let began = Instant::now();
        let sample = |second| Sample {
            at: began + Duration::from_secs(second),
            in_use: 1,
            waiting: 0,
            activity: None,
        };
        let samples: Vec<Sample> = [0, 1, 2, 60, 61].into_iter().map(sample).collect();
        let now = began + Duration::from_secs(61);
        let figure = |sample: &Sample| Some(f64::from(sample.in_use));
        let line = Line::new("a", samples.iter(), now, 2.0, figure);
        let lengths: Vec<usize> = line.parts.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 2]);
        assert_eq!(line.parts[1][1], Point { x: 180.0, y: 20.0 });
        let unknown = Line::new("a", samples.iter(), now, 2.0, |_| None);
        assert!(unknown.parts.is_empty());
    }
}
