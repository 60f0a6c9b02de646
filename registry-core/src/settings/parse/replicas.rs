//! The replicas of a bind, to drafts: a list of URLs and of tables, or a text with URLs.

use crate::settings::error::Problem;
use crate::settings::from_value::expected;
use crate::settings::options::PartialOptions;
use crate::settings::parse::document::{join, unknown_key};
use crate::settings::parse::draft::{BindDraft, Written, set_once};
use crate::settings::validate::replica::OPTIONS_OF_THE_BIND;
use crate::settings::value::{Table, Value};

/// The keys of a replica's table, except for its options.
const FIELDS: [&str; 5] = ["url", "url_file", "password", "password_file", "weight"];

/// The text for no replicas, with which a variable takes the place of the list in a file.
const NONE: &str = "none";

/// Reads `value` as the replicas of the bind `bind`.
///
/// A text is a list of URLs with white space between them, because the value of an environment variable is a text, and
/// a URL may have commas in it.
pub(in crate::settings) fn read(
    bind: &mut BindDraft,
    value: &Value,
    place: &str,
    layer: usize,
    problems: &mut Vec<Problem>,
) {
    let mut reader = ReplicaReader { layer, problems };
    let replicas = match value {
        Value::Text(text) => reader.read_text(text, place),
        Value::List(items) => {
            let items = items.iter().enumerate();
            items.filter_map(|(index, item)| reader.read_item(item, &at(place, index))).collect()
        }
        value => {
            let mut message = expected("a list of URLs, and of tables with one", value);
            if matches!(value, Value::Table(_)) {
                message += &format!("; in TOML, the table of one replica is [[{place}]]");
            }
            return problems.push(Problem::new(place, message));
        }
    };
    if let Err(message) = set_once(&mut bind.replicas, replicas, place, layer) {
        problems.push(Problem::new(place, message));
    }
}

struct ReplicaReader<'a> {
    layer: usize,
    problems: &'a mut Vec<Problem>,
}

impl ReplicaReader<'_> {
    fn read_text(&mut self, text: &str, place: &str) -> Vec<BindDraft> {
        let urls: Vec<&str> = text.split_whitespace().collect();
        match urls.as_slice() {
            [] => {
                let message = format!("expected URLs with white space between them, or \"{NONE}\"");
                self.problems.push(Problem::new(place, message));
                Vec::new()
            }
            [word] if word.eq_ignore_ascii_case(NONE) => Vec::new(),
            [url] => self.read_url(url, place.to_owned()).into_iter().collect(),
            urls => {
                let urls = urls.iter().enumerate();
                urls.filter_map(|(index, url)| self.read_url(url, at(place, index))).collect()
            }
        }
    }

    fn read_url(&mut self, url: &str, place: String) -> Option<BindDraft> {
        if let Err(message) = check_is_one(url) {
            self.problems.push(Problem::new(&place, message));
            return None;
        }
        let mut replica = BindDraft::new(&place);
        self.read_field(&mut replica, "url", &Value::Text(url.to_owned()), &place);
        Some(replica)
    }

    fn read_item(&mut self, item: &Value, place: &str) -> Option<BindDraft> {
        match item {
            Value::Text(url) => self.read_url(url, place.to_owned()),
            Value::Table(table) => self.read_table(table, place),
            item => {
                let message = expected("a URL, or a table with one", item);
                self.problems.push(Problem::new(place, message));
                None
            }
        }
    }

    fn read_table(&mut self, table: &Table, place: &str) -> Option<BindDraft> {
        let mut replica = BindDraft::new(place);
        let mut is_one = true;
        for (field, value) in table {
            let place = join(place, field);
            match value {
                Value::Unset => {}
                Value::Text(url) if field == "url" && check_is_one(url).is_err() => {
                    // The problem is pushed, and no replica is returned.
                    is_one = self.read_url(url, place).is_some();
                }
                value => self.read_field(&mut replica, field, value, &place),
            }
        }
        is_one.then_some(replica)
    }

    fn read_field(&mut self, replica: &mut BindDraft, field: &str, value: &Value, place: &str) {
        let message = match field {
            // Kept without being read. That no replica has replicas is reported with everything else that none has.
            "replicas" => {
                let (value, place, layer) = (Vec::new(), place.to_owned(), self.layer);
                replica.replicas = Some(Written { value, place, layer });
                return;
            }
            field => match replica.read(field, value, place, self.layer) {
                Some(Ok(())) => return,
                Some(Err(message)) => message,
                None => unknown_key(field, known()),
            },
        };
        self.problems.push(Problem::new(place, message));
    }
}

/// Fails if `text` has several URLs in it, with commas in between. As one URL it would be read without an error: a comma
/// stands between the hosts of a URL.
fn check_is_one(text: &str) -> Result<(), &'static str> {
    let is_one = text.matches("://").count() < 2 && !text.starts_with(',') && !text.ends_with(',');
    is_one.then_some(()).ok_or(
        "a comma stands between the hosts of one URL: separate several URLs by white space, or write a list",
    )
}

/// The names of all fields and options of a replica.
fn known() -> impl Iterator<Item = &'static str> {
    let options = PartialOptions::NAMES.iter().copied();
    FIELDS.into_iter().chain(options.filter(|name| !OPTIONS_OF_THE_BIND.contains(name)))
}

fn at(place: &str, index: usize) -> String {
    format!("{place}[{index}]")
}
