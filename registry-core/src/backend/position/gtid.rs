//! Positions of MariaDB and MySQL: global transaction identifiers.

use std::collections::BTreeMap;

/// MariaDB: the last sequence number of each replication domain.
///
/// The server of an identifier does not matter: within a domain, the numbers grow on whichever server is the primary.
/// (`MASTER_GTID_WAIT` has the same rule.)
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Domains(BTreeMap<u32, u64>);

impl Domains {
    /// Reads identifiers as MariaDB writes them: `0-1-100,1-1-7`.
    #[cfg(any(feature = "mysql", test))]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut domains = BTreeMap::new();
        for identifier in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut parts = identifier.split('-');
            let domain = parts.next()?.parse().ok()?;
            let _server: u32 = parts.next()?.parse().ok()?;
            let number: u64 = parts.next()?.parse().ok()?;
            if parts.next().is_some() {
                return None;
            }
            let last = domains.entry(domain).or_insert(number);
            *last = number.max(*last);
        }
        (!domains.is_empty()).then_some(Self(domains))
    }

    pub(super) fn of(domains: BTreeMap<u32, u64>) -> Option<Self> {
        (!domains.is_empty()).then_some(Self(domains))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        self.0.iter().map(|(domain, number)| (*domain, *number))
    }

    pub(super) fn contain(&self, wanted: &Self) -> bool {
        wanted
            .0
            .iter()
            .all(|(domain, wanted)| self.0.get(domain).is_some_and(|number| number >= wanted))
    }

    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut merged = self.0.clone();
        for (domain, number) in &other.0 {
            let last = merged.entry(*domain).or_insert(*number);
            *last = (*number).max(*last);
        }
        Self(merged)
    }
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
        assert!(domains("0-1-10,1-1-5").contain(&domains("0-2-10")));
        assert!(!domains("0-1-10").contain(&domains("0-1-10,1-1-1")));
        assert!(!domains("0-1-9").contain(&domains("0-1-10")));
        assert_eq!(domains("0-1-9,1-1-2").merged(&domains("0-2-11")), domains("0-2-11,1-1-2"));
        for wrong in ["", "0", "0-1", "0-1-x", "0-1-2-3", "a-1-2"] {
            assert_eq!(Domains::parse(wrong), None, "{wrong}");
        }
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
