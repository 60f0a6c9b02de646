//! The tags of one statement.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::encoding::{comment, pair};
use super::of_scope::ScopeTags;
use super::options::{LONGEST_VALUE, SqlTags};
use super::traceparent::is_sampled;
use crate::bind_key::BindKey;

/// The most combinations of tags of scopes in a registry. Each makes prepared statements of its own.
const MOST_COMBINATIONS: usize = 200;

/// The comment of a statement.
#[derive(Debug, Clone)]
pub struct QueryTags {
    /// With the space before it.
    pub(crate) comment: Arc<str>,
    /// Whether the comment is that of this run alone, so that no cache may keep the statement.
    pub(crate) is_of_one_run: bool,
}

/// Makes the tags of the statements of a registry.
#[derive(Debug)]
pub(in crate::telemetry) struct Tagger {
    options: SqlTags,
    /// The pairs that are the same in all statements.
    fixed: Vec<String>,
    combinations: Mutex<Combinations>,
}

/// The tags of scopes that there were so far.
#[derive(Debug, Default)]
struct Combinations {
    known: HashSet<String>,
    has_warned: bool,
}

impl Tagger {
    pub(in crate::telemetry) fn new(options: SqlTags) -> Self {
        let fixed = options.fixed.iter().map(|(key, value)| pair(key, value)).collect();
        Self { options, fixed, combinations: Mutex::default() }
    }

    /// The same tags, for another registry.
    pub(in crate::telemetry) fn of_other_registry(&self) -> Self {
        Self::new(self.options.clone())
    }

    /// The tags of a statement. Of `scopes`, from the inside to the outside, the first that has set a tag decides on it. `None`
    /// if there are none.
    pub(in crate::telemetry) fn tags<'s>(
        &self,
        bind: BindKey,
        tenant: Option<&str>,
        scopes: impl Iterator<Item = &'s ScopeTags> + Clone,
    ) -> Option<QueryTags> {
        let of_one = |key: &str, value: Option<&str>| {
            let value = value.filter(|value| !value.is_empty() && value.len() <= LONGEST_VALUE)?;
            Some(pair(key, value))
        };
        let options = &self.options;
        let bind = options.has_bind.then(|| pair("bind", bind.as_str()));
        let tenant = tenant.filter(|_| options.has_tenant);
        let tenant = of_one("tenant", tenant);
        let of_scopes: Vec<String> = options
            .of_scope
            .iter()
            .filter_map(|key| {
                let value = scopes.clone().find_map(|scope| scope.get(key));
                of_one(key, value.as_deref())
            })
            .collect();
        let of_scopes = if self.admits(&of_scopes) { of_scopes } else { Vec::new() };
        let traceparent = options.traceparent.as_ref().and_then(|current| current());
        let traceparent = traceparent.filter(|text| is_sampled(text));
        let traceparent = traceparent.map(|text| pair("traceparent", &text));
        let mut pairs: Vec<&str> = self
            .fixed
            .iter()
            .chain(&bind)
            .chain(&tenant)
            .chain(&of_scopes)
            .chain(&traceparent)
            .map(String::as_str)
            .collect();
        if pairs.is_empty() {
            return None;
        }
        Some(QueryTags {
            comment: comment(&mut pairs).into(),
            is_of_one_run: traceparent.is_some(),
        })
    }

    /// Whether these tags of scopes are known, or there is room for them.
    fn admits(&self, pairs: &[String]) -> bool {
        if pairs.is_empty() {
            return true;
        }
        let joined = pairs.join(",");
        let mut combinations = self.combinations.lock().unwrap_or_else(PoisonError::into_inner);
        if combinations.known.contains(&joined) {
            return true;
        }
        if combinations.known.len() < MOST_COMBINATIONS {
            return combinations.known.insert(joined);
        }
        let has_warned = std::mem::replace(&mut combinations.has_warned, true);
        drop(combinations);
        if !has_warned {
            tracing::warn!(
                target: "registry",
                tags = joined,
                "more than {MOST_COMBINATIONS} combinations of tags of scopes: those of later ones are left out of the SQL, \
                 as each makes prepared statements of its own (is a path set as the route, in place of its pattern?)"
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(tags: &[(&str, &str)]) -> ScopeTags {
        let scope = ScopeTags::default();
        for (key, value) in tags {
            scope.set(key, (*value).to_owned());
        }
        scope
    }

    fn comment_of(tagger: &Tagger, scopes: &[ScopeTags]) -> Option<String> {
        let tags = tagger.tags(BindKey::DEFAULT, Some("acme"), scopes.iter());
        tags.map(|tags| tags.comment.to_string())
    }

    #[test]
    fn only_tags_that_were_asked_for_are_sent() {
        let scopes = [scope(&[("route", "/a"), ("job", "b")])];
        assert_eq!(comment_of(&Tagger::new(SqlTags::new()), &scopes), None);
        let tags = SqlTags::new().bind(true).route(true).tag("z", "1").application("shop");
        let expected = " /*application='shop',bind='default',route='%2Fa',z='1'*/";
        assert_eq!(comment_of(&Tagger::new(tags), &scopes).as_deref(), Some(expected));
        let tags = SqlTags::new().tenant(true).scope_tag("job").route(true).route(false);
        let expected = " /*job='b',tenant='acme'*/";
        assert_eq!(comment_of(&Tagger::new(tags), &scopes).as_deref(), Some(expected));
    }

    #[test]
    fn inner_scope_decides() {
        let tagger = Tagger::new(SqlTags::new().route(true).controller(true));
        let scopes = [scope(&[("route", "/in")]), scope(&[("route", "/out"), ("controller", "c")])];
        let expected = " /*controller='c',route='%2Fin'*/";
        assert_eq!(comment_of(&tagger, &scopes).as_deref(), Some(expected));
        scopes[0].set("route", String::new());
        assert!(comment_of(&tagger, &scopes).is_some_and(|comment| comment.contains("out")));
    }

    #[test]
    fn later_combinations_are_left_out() {
        let tagger = Tagger::new(SqlTags::new().bind(true).route(true));
        let of = |route: usize| comment_of(&tagger, &[scope(&[("route", &route.to_string())])]);
        for route in 0..MOST_COMBINATIONS {
            assert_eq!(of(route), Some(format!(" /*bind='default',route='{route}'*/")));
        }
        assert_eq!(of(MOST_COMBINATIONS).as_deref(), Some(" /*bind='default'*/"));
        assert_eq!(of(7).as_deref(), Some(" /*bind='default',route='7'*/"));
    }

    #[test]
    fn values_of_scopes_that_are_too_long_are_left_out() {
        let tagger = Tagger::new(SqlTags::new().route(true));
        assert_eq!(comment_of(&tagger, &[scope(&[("route", &"x".repeat(257))])]), None);
        assert!(comment_of(&tagger, &[scope(&[("route", &"x".repeat(256))])]).is_some());
    }

    #[test]
    fn traceparent_is_of_one_run() {
        let sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (text, expected) in [(sampled, true), ("00-*/ DROP", false)] {
            let tags = SqlTags::new().application("a").traceparent(move || Some(text.to_owned()));
            let tags = Tagger::new(tags).tags(BindKey::DEFAULT, None, std::iter::empty());
            let tags = tags.expect("tags");
            assert_eq!(tags.is_of_one_run, expected);
            assert_eq!(tags.comment.contains("traceparent"), expected);
        }
    }

    #[test]
    fn mistakes_are_told() {
        let tags = SqlTags::new()
            .tag("", "v")
            .tag("a\nb", "v")
            .tag("k".repeat(65), "v")
            .tag("traceparent", "v")
            .application("shop")
            .application("shop")
            .bind(true)
            .tag("bind", "")
            .tag("long", "v".repeat(257));
        let expected = [
            "the key of a tag is empty",
            "the key \"a\\nb\" of a tag has a control character in it",
            "the key \"kkkkkkkkkkkkkkkkkkkk\".. of a tag has 65 bytes: 64 at most",
            "the tag \"traceparent\" differs in each statement: use `SqlTags::traceparent`",
            "the tag \"application\" is asked for twice",
            "the tag \"bind\" is asked for twice",
            "the value of the tag \"bind\" is empty",
            "the value of the tag \"long\" has 257 bytes: 256 at most",
        ];
        assert_eq!(tags.problems(), expected);
        assert!(SqlTags::new().application("shop").bind(true).problems().is_empty());
    }
}
