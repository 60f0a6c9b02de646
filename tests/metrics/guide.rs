//! The table of metrics in the guide.

use std::collections::{BTreeMap, BTreeSet};

use crate::everything::rendered;
use crate::exporter::{BUCKETS, samples};
use crate::list::{self, Described};
use crate::support::workspace;

/// The section about metrics.
fn section() -> String {
    let chapter = std::fs::read_to_string(workspace().join("docs/guide/watching.md"));
    let chapter = chapter.expect("the chapter");
    let (_, section) = chapter.split_once("\n## Metrics\n").expect("that section");
    section.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The cells of each row of its first table, without the headings.
fn rows() -> Vec<Vec<String>> {
    let section = section();
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn table_has_every_metric_with_its_kind_its_unit_and_its_help() {
    let told = rows().into_iter().map(|row| {
        let [name, kind, unit, _, help] = <[String; 5]>::try_from(row).expect("five columns");
        [name.trim_matches('`').to_owned(), kind, unit, help]
    });
    let expected = list::metrics()
        .into_iter()
        .map(|Described { name, kind, unit, help }| [name, kind.to_owned(), unit.to_owned(), help]);
    assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn table_has_the_labels_that_the_exporter_shows() {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for sample in samples(rendered()) {
        let ends = ["_bucket", "_sum", "_count"];
        let name = ends.iter().find_map(|end| sample.name.strip_suffix(end));
        let labels = shown.entry(name.unwrap_or(&sample.name).to_owned()).or_default();
        labels.extend(sample.labels.into_keys().filter(|label| label != "le"));
    }
    for row in rows() {
        let told = row[3].split(", ").map(|label| label.trim_matches('`').to_owned());
        // Tenants have a label only if they are asked for.
        let told: BTreeSet<String> = told.filter(|label| label != "tenant").collect();
        assert_eq!(shown.get(row[0].trim_matches('`')), Some(&told), "{}", row[0]);
    }
}

#[test]
fn recommended_buckets_are_those_of_the_tests() {
    let section = section();
    let (_, rest) = section.split_once("BUCKETS: &[f64] =").expect("they are there");
    let (buckets, _) = rest.split_once("];").expect("an end");
    let numbers = buckets.trim().trim_start_matches("&[").split(',').map(str::trim);
    let numbers = numbers.filter(|number| !number.is_empty());
    let told: Vec<f64> = numbers.map(|number| number.parse().expect("a number")).collect();
    assert_eq!(told, BUCKETS);
}
