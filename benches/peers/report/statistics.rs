//! Medians and spreads.

pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which the given share of the values lies.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    // A turn without an operation is infinitely slow.
    if below == above { below } else { below + (above - below) * place.fract() }
}

/// Whether the middle half of the turns is spread so widely that the median says little.
pub(crate) fn is_unsteady(turns: &[f64]) -> bool {
    quantile(turns, 0.75) - quantile(turns, 0.25) > 0.25 * median(turns)
}
