//! Axes: from a value to a place, and the values that are written beside it.

/// An axis from one place to another, in pixels.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    kind: Kind,
    values: (f64, f64),
    places: (f64, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Linear,
    Logarithmic,
}

impl Scale {
    /// A logarithmic axis that has all values, which are more than 0, with ends that can be labelled.
    pub(crate) fn logarithmic(values: impl IntoIterator<Item = f64>, places: (f64, f64)) -> Self {
        let (low, high) = ends(values);
        assert!(low > 0.0, "a logarithm of {low}");
        let low = steps_from(low).next().expect("the step at or below it");
        let high = steps_from(high).find(|step| *step >= high * 0.999).expect("they grow");
        let high = if high > low { high } else { low * 10.0 };
        Self { kind: Kind::Logarithmic, values: (low, high), places }
    }

    /// A linear axis from 0 that has all values.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, places: (f64, f64)) -> Self {
        let (_, high) = ends(values);
        Self { kind: Kind::Linear, values: (0.0, if high > 0.0 { high } else { 1.0 }), places }
    }

    /// The place of a value.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let share = match self.kind {
            Kind::Linear => (value - low) / (high - low),
            Kind::Logarithmic => (value / low).ln() / (high / low).ln(),
        };
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// The values to label, in rising order: powers of ten, with 2 and 5 in between if there is room.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        match self.kind {
            Kind::Logarithmic => {
                let all: Vec<_> =
                    steps_from(low).take_while(|step| *step <= high * 1.001).collect();
                if all.len() <= 8 {
                    return all;
                }
                let is_power = |step: &f64| (step.log10() - step.log10().round()).abs() < 1e-6;
                all.into_iter().filter(is_power).collect()
            }
            Kind::Linear => {
                let step = steps_from(high / 6.0).find(|step| *step >= high / 6.0);
                let step = step.expect("they grow");
                (0_u32..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= high).collect()
            }
        }
    }
}

/// The least and the greatest value.
fn ends(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let ends = values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        assert!(value.is_finite(), "{value} has no place");
        (low.min(value), high.max(value))
    });
    assert!(ends.0 <= ends.1, "an axis without a value");
    ends
}

/// 1, 2 and 5 times each power of ten, from the last that is not above `value`.
fn steps_from(value: f64) -> impl Iterator<Item = f64> {
    let power = value.log10().floor() as i32;
    let from = move |step: &f64| *step <= value * 1.001;
    let steps = (power - 1..).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power)));
    let mut steps = steps.peekable();
    let mut first = value;
    while let Some(step) = steps.next_if(from) {
        first = step;
    }
    std::iter::once(first).chain(steps)
}

/// A number as short as its size allows, with commas between thousands.
pub(crate) fn label(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value >= 10.0 {
        return thousands(value.round() as u64);
    }
    let decimals = if value >= 1.0 { 1 } else { (-value.log10().floor()) as usize + 1 };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number with commas.
pub(crate) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
