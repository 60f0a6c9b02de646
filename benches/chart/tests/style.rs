use crate::chart::style::{Hue, sheet};

/// The relative luminance of WCAG 2.
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
        let value = f64::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn every_colour_stands_out_from_the_ground_of_both_themes() {
    for hue in Hue::ALL {
        let (light, dark) = hue.colours();
        // What WCAG 2 asks for graphical objects.
        assert!(contrast(light, "#ffffff") >= 3.0, "{hue:?} on the light ground");
        assert!(contrast(dark, "#0d1117") >= 3.0, "{hue:?} on the dark ground");
    }
}

#[test]
fn the_dark_theme_changes_every_colour_of_the_light_one() {
    let sheet = sheet();
    let (light, dark) = sheet.split_once("@media").unwrap();
    for line in light.lines().filter(|line| line.contains('#')) {
        let selector = line.split('{').next().unwrap();
        assert!(dark.contains(selector), "`{selector}` has one colour only");
    }
}
