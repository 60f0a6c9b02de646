//! Positions of MariaDB and MySQL: global transaction identifiers.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

/// MariaDB: the last identifier of each replication domain.
///
/// A number counts for the server that has given it: after a failover the new primary numbers on from where it is itself, so
/// it gives numbers anew that the old one had given to commits that are lost.
#[derive(Debug, Clone, Default)]
pub struct Domains {
    last: BTreeMap<u32, Identifier>,
    /// The highest number of each server in each domain that is known to be reached, with those of `last`.
    reached: BTreeMap<(u32, u32), u64>,
    /// The domains whose last identifier the server has given itself, if it is a primary.
    own: BTreeSet<u32>,
}

/// What follows the domain in a global transaction identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identifier {
    pub(super) server: u32,
    pub(super) number: u64,
}

/// What is reached beside the last identifiers is no part of the position.
impl PartialEq for Domains {
    fn eq(&self, other: &Self) -> bool {
        self.last == other.last
    }
}

impl Eq for Domains {}

impl Hash for Domains {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.last.hash(state);
    }
}

impl Domains {
    /// Reads identifiers as MariaDB writes them: `0-1-100,1-1-7`.
    #[cfg(any(feature = "mysql", test))]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut last = BTreeMap::new();
        for (domain, identifier) in identifiers(text)? {
            let newest = last.entry(domain).or_insert(identifier);
            if newest.number < identifier.number {
                *newest = identifier;
            }
        }
        Self::of(last)
    }

    pub(super) fn of(last: BTreeMap<u32, Identifier>) -> Option<Self> {
        let reached = last.iter().map(|(domain, at)| ((*domain, at.server), at.number)).collect();
        (!last.is_empty()).then_some(Self { last, reached, own: BTreeSet::new() })
    }

    /// The position of a primary which has reached more than the last identifiers, and has the number `server` itself.
    #[cfg(any(feature = "mysql", test))]
    pub(crate) fn of_primary(mut self, reached: &str, server: u32) -> Self {
        for (domain, at) in identifiers(reached).unwrap_or_default() {
            let number = self.reached.entry((domain, at.server)).or_insert(at.number);
            *number = at.number.max(*number);
        }
        let is_own = |(_, at): &(&u32, &Identifier)| at.server == server;
        self.own = self.last.iter().filter(is_own).map(|(domain, _)| *domain).collect();
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Identifier)> {
        self.last.iter().map(|(domain, at)| (*domain, *at))
    }

    pub(super) fn contain(&self, wanted: &Self) -> bool {
        wanted.last.iter().all(|(domain, wanted)| {
            let reached = self.reached.get(&(*domain, wanted.server));
            reached.is_some_and(|number| *number >= wanted.number)
        })
    }

    /// Whether a replica has something that its primary, which was asked later, never had: the primary numbers a domain, and
    /// knows of no such number of that server.
    pub(super) fn is_ahead_of(&self, primary: &Self) -> bool {
        primary.own.iter().any(|domain| {
            self.last.get(domain).is_some_and(|at| {
                let known = primary.reached.get(&(*domain, at.server));
                known.is_some_and(|number| *number < at.number)
            })
        })
    }

    /// Whether a number of a server is lower than it was at `before`.
    pub(super) fn is_set_back_from(&self, before: &Self) -> bool {
        self.last.iter().any(|(domain, at)| {
            let before = before.last.get(domain).filter(|before| before.server == at.server);
            before.is_some_and(|before| at.number < before.number)
        })
    }

    /// The same position of a server that was at `before`: what it had reached, it has reached still.
    pub(super) fn not_before(mut self, before: &Self) -> Self {
        if !self.is_set_back_from(before) {
            self.add_reached(before);
        }
        self
    }

    pub(super) fn merged(&self, later: &Self) -> Self {
        let mut merged = self.clone();
        merged.own.clear();
        merged.add_reached(later);
        for (domain, at) in &later.last {
            let newest = merged.last.entry(*domain).or_insert(*at);
            if newest.number <= at.number {
                *newest = *at;
            }
        }
        merged
    }

    fn add_reached(&mut self, other: &Self) {
        for (of, number) in &other.reached {
            let own = self.reached.entry(*of).or_insert(*number);
            *own = (*number).max(*own);
        }
    }
}

#[cfg(any(feature = "mysql", test))]
fn identifiers(text: &str) -> Option<Vec<(u32, Identifier)>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let read = parts.map(|identifier| {
        let mut parts = identifier.split('-');
        let domain = parts.next()?.parse().ok()?;
        let server = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some((domain, Identifier { server, number }))
    });
    read.collect()
}

/// MySQL: for each server, and tag, the intervals of transaction numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct GtidSet(BTreeMap<String, Vec<(u64, u64)>>);

impl GtidSet {
    /// Reads a set as MySQL writes it: `3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7, ..`, from version 8.3 on with tags.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut set = BTreeMap::<String, Vec<(u64, u64)>>::new();
        for of_server in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut parts = of_server.split(':');
            let server: String = parts.next()?.chars().filter(|c| *c != '-').collect();
            let is_uuid = server.len() == 32 && server.bytes().all(|c| c.is_ascii_hexdigit());
            if !is_uuid {
                return None;
            }
            let server = server.to_ascii_lowercase();
            let mut source = server.clone();
            for part in parts {
                let part = part.trim();
                if part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    let is_tag = part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
                    if !is_tag || part.len() > 32 {
                        return None;
                    }
                    source = format!("{server}.{}", part.to_ascii_lowercase());
                    continue;
                }
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
                if first == 0 || last < first {
                    return None;
                }
                set.entry(source.clone()).or_default().push((first, last));
            }
        }
        set.values_mut().for_each(|intervals| *intervals = united(std::mem::take(intervals)));
        set.retain(|_, intervals| !intervals.is_empty());
        (!set.is_empty()).then_some(Self(set))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[(u64, u64)])> {
        self.0.iter().map(|(source, intervals)| (source.as_str(), intervals.as_slice()))
    }

    pub(super) fn contains(&self, wanted: &Self) -> bool {
        wanted.0.iter().all(|(source, wanted)| {
            let own = self.0.get(source).map(Vec::as_slice).unwrap_or_default();
            wanted.iter().all(|(first, last)| {
                own.iter().any(|(own_first, own_last)| own_first <= first && own_last >= last)
            })
        })
    }

    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut merged = self.0.clone();
        for (source, intervals) in &other.0 {
            let own = merged.entry(source.clone()).or_default();
            own.extend(intervals);
            *own = united(std::mem::take(own));
        }
        Self(merged)
    }
}

/// The intervals in order, with those that touch as one.
fn united(mut intervals: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    intervals.sort_unstable();
    let mut united: Vec<(u64, u64)> = Vec::with_capacity(intervals.len());
    for (first, last) in intervals {
        match united.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => united.push((first, last)),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_is_missing_is_not_reached() {
        let domains = |text| Domains::parse(text).unwrap();
        assert!(domains("0-1-10,1-1-5").contain(&domains("0-1-10")));
        assert!(!domains("0-1-10").contain(&domains("0-1-10,1-1-1")));
        assert!(!domains("0-1-9").contain(&domains("0-1-10")));
        assert_eq!(domains("0-1-9,1-1-2").merged(&domains("0-2-11")), domains("0-2-11,1-1-2"));
        for wrong in ["", "0", "0-1", "0-1-x", "0-1-2-3", "a-1-2"] {
            assert_eq!(Domains::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_number_counts_for_the_server_that_has_given_it() {
        let domains = |text| Domains::parse(text).unwrap();
        assert!(!domains("1-1-35").contain(&domains("1-2-8")), "of a primary that was left behind");
        let follower = domains("1-2-36").not_before(&domains("1-1-35"));
        assert!(follower.contain(&domains("1-1-30")) && follower.contain(&domains("1-2-36")));
        assert!(!follower.contain(&domains("1-1-36")));
        let set_back = domains("1-1-3").not_before(&domains("1-1-35"));
        assert!(!set_back.contain(&domains("1-1-30")));
        let primary = domains("1-2-8").of_primary("1-1-7,1-2-8", 2);
        assert!(primary.contain(&domains("1-1-7")) && !primary.contain(&domains("1-1-8")));
    }

    #[test]
    fn replica_that_has_more_than_its_primary_is_ahead() {
        let domains = |text| Domains::parse(text).unwrap();
        let primary = domains("1-2-8,2-3-5").of_primary("1-1-7,1-2-8,2-3-5", 2);
        assert!(domains("1-1-35").is_ahead_of(&primary));
        assert!(domains("1-2-9").is_ahead_of(&primary));
        for behind in ["1-1-7", "1-2-8", "1-2-3", "1-4-90", "2-3-9", "3-1-1"] {
            assert!(!domains(behind).is_ahead_of(&primary), "{behind}");
        }
        assert!(!domains("1-2-9").is_ahead_of(&domains("1-2-8")), "it numbers no domain");
    }

    #[test]
    fn a_set_contains_another_one_interval_by_interval() {
        const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";
        let set = |text: &str| GtidSet::parse(&text.replace('A', A).replace('B', B)).unwrap();
        assert!(set("A:1-10,\nB:1-3").contains(&set("A:2-5:7")));
        assert!(!set("A:1-4:6-10").contains(&set("A:4-6")));
        assert!(set("A:1-4:5-10").contains(&set("A:4-6")), "intervals that touch are one");
        assert!(!set("A:1-4").contains(&set("B:1")));
        assert_eq!(set("A:1-4").merged(&set("A:5-9,B:1")), set("A:1-9,B:1"));
        assert!(!set("A:1-9").contains(&set("A:tag:1-2")), "a tag is a source of its own");
        for wrong in ["", "A", "A:0-3", "A:5-3", "A:x y", "no-uuid:1"] {
            assert_eq!(GtidSet::parse(&wrong.replace('A', A)), None, "{wrong}");
        }
    }
}
