//! Every query of the dashboard asks for what the exporter shows.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::everything::rendered;
use crate::exporter::{Sample, samples};
use crate::support::workspace;

fn dashboard() -> Value {
    let text = std::fs::read_to_string(workspace().join("docs/grafana-dashboard.json"));
    serde_json::from_str(&text.expect("the dashboard")).expect("JSON")
}

/// The panels, those in collapsed rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    fn within<'a>(panels: &'a Value, all: &mut Vec<&'a Value>) {
        for panel in panels.as_array().into_iter().flatten() {
            all.push(panel);
            within(&panel["panels"], all);
        }
    }
    let mut all = Vec::new();
    within(&dashboard["panels"], &mut all);
    all
}

/// A query and its legend.
struct Query<'a> {
    panel: &'a str,
    expr: &'a str,
    legend: &'a str,
}

fn queries(dashboard: &Value) -> Vec<Query<'_>> {
    let mut queries = Vec::new();
    for panel in panels(dashboard) {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(Query {
                panel: title,
                expr: target["expr"].as_str().expect("a query"),
                legend: target["legendFormat"].as_str().expect("a legend"),
            });
        }
    }
    queries
}

/// The words of a query, without what is in quotes or a range. Labels in braces have the metric before them.
#[derive(Debug, Default)]
struct Words {
    /// Each metric with the labels that its matchers name.
    metrics: Vec<(String, BTreeSet<String>)>,
    /// The labels by which is grouped.
    grouped: BTreeSet<String>,
}

fn words(expr: &str) -> Words {
    let mut found = Words::default();
    let (mut rest, mut is_matcher, mut is_group) = (expr, false, false);
    let mut last = String::new();
    while let Some(next) = rest.chars().next() {
        if next.is_ascii_alphabetic() || next == '_' {
            let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            if is_group {
                found.grouped.insert(word.to_owned());
            } else if is_matcher {
                let (_, labels) = found.metrics.last_mut().expect("a metric before the brace");
                labels.insert(word.to_owned());
            } else if word.starts_with("registry_") {
                found.metrics.push((word.to_owned(), BTreeSet::new()));
            }
            word.clone_into(&mut last);
            rest = after;
            continue;
        }
        match next {
            '"' => {
                let end = rest[1..].find('"').expect("an end of the text");
                rest = &rest[end + 2..];
                continue;
            }
            '[' => {
                let end = rest.find(']').expect("an end of the range");
                rest = &rest[end + 1..];
                continue;
            }
            '{' => is_matcher = true,
            '}' => is_matcher = false,
            '(' => is_group = ["by", "without", "on", "ignoring"].contains(&last.as_str()),
            ')' => is_group = false,
            _ => {}
        }
        if !next.is_whitespace() {
            last.clear();
        }
        rest = &rest[next.len_utf8()..];
    }
    found
}

fn labels_of(metric: &str, samples: &[Sample]) -> BTreeSet<String> {
    let of_metric = samples.iter().filter(|sample| sample.name == metric);
    of_metric.flat_map(|sample| sample.labels.keys().cloned()).collect()
}

#[test]
fn every_query_names_metrics_and_labels_that_the_exporter_shows() {
    let (samples, dashboard) = (samples(rendered()), dashboard());
    let queries = queries(&dashboard);
    assert!(queries.len() > 20, "there are {}", queries.len());
    for Query { panel, expr, legend } in queries {
        let words = words(expr);
        assert!(!words.metrics.is_empty(), "{panel}: {expr}");
        let mut all = BTreeSet::new();
        for (metric, matched) in &words.metrics {
            let labels = labels_of(metric, &samples);
            assert!(!labels.is_empty(), "{panel}: nothing has the name {metric}");
            for label in matched.union(&words.grouped) {
                assert!(labels.contains(label), "{panel}: {metric} has no label `{label}`");
            }
            all.extend(labels);
        }
        let shown = legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap_or(rest));
        for label in shown {
            let is_left = words.grouped.is_empty() && all.contains(label);
            assert!(
                is_left || words.grouped.contains(label),
                "{panel}: `{label}` of the legend is not left by {expr}"
            );
        }
    }
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let dashboard = dashboard();
    let asked: BTreeSet<String> = queries(&dashboard)
        .iter()
        .flat_map(|query| words(query.expr).metrics)
        .map(|it| it.0)
        .collect();
    for metric in crate::list::metrics() {
        let is_asked = |name: &String| {
            let ends = ["", "_bucket", "_sum", "_count"];
            ends.iter().any(|end| *name == format!("{}{end}", metric.name))
        };
        assert!(asked.iter().any(is_asked), "no panel shows {}", metric.name);
    }
}

#[test]
fn panels_have_units_and_ask_the_source_that_is_chosen() {
    let dashboard = dashboard();
    let source = "${datasource}";
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_i64().expect("an id")), "{title}: its id is used twice");
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        assert!(panel["description"].as_str().is_some_and(|it| it.ends_with('.')), "{title}");
        assert_eq!(panel["datasource"]["uid"], source, "{title}");
        for target in panel["targets"].as_array().expect("queries") {
            assert_eq!(target["datasource"]["uid"], source, "{title}");
        }
    }
    let rows = panels(&dashboard).into_iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.map(|row| row["title"].as_str().unwrap_or_default()).collect();
    let expected =
        ["Connections", "Waits", "Queries", "Replicas", "Engines of tenants", "Errors and retries"];
    assert_eq!(rows, expected);
}

#[test]
fn variables_are_a_source_and_binds_that_the_exporter_shows() {
    let (samples, dashboard) = (samples(rendered()), dashboard());
    assert_eq!(dashboard["uid"], "registry-databases");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let of = |name: &str| variables.iter().find(|it| it["name"] == name).expect("that variable");
    assert_eq!(of("datasource")["type"], "datasource");
    assert_eq!(of("datasource")["query"], "prometheus");
    let query = of("bind")["query"]["query"].as_str().expect("a query");
    let query = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let (metric, label) =
        query.and_then(|query| query.split_once(", ")).expect("a metric, a label");
    assert!(labels_of(metric, &samples).contains(label), "{metric} has no {label}");
}

#[test]
fn words_of_a_query_are_its_metrics_and_its_labels() {
    let words = words(
        r#"sum by (bind, le) (rate(registry_a_bucket{bind=~"$bind", error!=""}[$__rate_interval])) / registry_b"#,
    );
    let names = |labels: &[&str]| labels.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let expected = [
        ("registry_a_bucket".to_owned(), names(&["bind", "error"])),
        ("registry_b".to_owned(), names(&[])),
    ];
    assert_eq!(words.metrics, expected);
    assert_eq!(words.grouped, names(&["bind", "le"]));
}
