//! Quantiles.

/// The value below which the given share of the values lies.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    // A turn without an operation is infinitely slow, and has no distance to another.
    if below == above { below } else { below + (above - below) * place.fract() }
}
