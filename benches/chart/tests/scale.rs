use crate::chart::scale::{Scale, label, thousands};

#[test]
fn a_logarithmic_axis_has_all_values_between_its_ends() {
    for (low, high) in [(1.0, 1000.0), (4.2, 64.0), (0.3, 0.4), (7.0, 7.0), (1e-3, 1e6)] {
        let scale = Scale::logarithmic([high, low], (0.0, 100.0));
        let (first, last) = (scale.place(low), scale.place(high));
        assert!((-0.1..=100.1).contains(&first), "{low} is at {first}");
        assert!((-0.1..=100.1).contains(&last), "{high} is at {last}");
        let ticks = scale.ticks();
        assert!((2..=10).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
        assert!(ticks.iter().all(|tick| (-0.1..=100.1).contains(&scale.place(*tick))));
    }
}

#[test]
fn equal_factors_are_equal_distances() {
    let scale = Scale::logarithmic([1.0, 1000.0], (300.0, 0.0));
    for (value, place) in [(1.0, 300.0), (10.0, 200.0), (100.0, 100.0), (1000.0, 0.0)] {
        assert!((scale.place(value) - place).abs() < 1e-9);
    }
    let ticks: Vec<_> = scale.ticks().into_iter().map(label).collect();
    assert_eq!(ticks, ["1", "10", "100", "1,000"]);
}

#[test]
fn a_linear_axis_begins_at_zero() {
    let scale = Scale::linear([130.0, 25.0], (0.0, 130.0));
    assert_eq!(scale.place(0.0), 0.0);
    let ticks: Vec<_> = scale.ticks().into_iter().map(label).collect();
    assert_eq!(ticks, ["0", "50", "100"]);
}

#[test]
fn numbers_are_as_short_as_they_can_be() {
    let numbers = [0.0, 0.05, 0.5, 1.0, 2.5, 10.4, 1_234.0, 1_000_000.0];
    let labels: Vec<_> = numbers.into_iter().map(label).collect();
    assert_eq!(labels, ["0", "0.05", "0.5", "1", "2.5", "10", "1,234", "1,000,000"]);
    assert_eq!(thousands(999), "999");
}
