//! Whether each database answers, and since when.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::SystemTime;

use crate::registry::Answer;
use crate::settings::BindKey;

/// How many changes are remembered.
const REMEMBERED: usize = 20;

/// The last answer of one database.
#[derive(Debug, Clone)]
pub(super) struct Health {
    pub(super) answer: Answer,
    /// When it began to answer, or ceased to.
    pub(super) since: SystemTime,
}

/// A database that has ceased to answer, or answers again.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) key: BindKey,
    pub(super) at: SystemTime,
    /// Why it does not answer. `None` if it answers again.
    pub(super) failure: Option<String>,
}

/// The last answers of all databases.
#[derive(Debug, Default)]
pub(super) struct HealthBook {
    health: BTreeMap<BindKey, Health>,
    changes: VecDeque<Change>,
}

impl HealthBook {
    /// Notes answers that came at the same time. Whether one is of another kind than before.
    pub(super) fn note(&mut self, answers: Vec<(BindKey, Answer)>, at: SystemTime) -> bool {
        let mut has_changed = false;
        self.health.retain(|key, _| answers.iter().any(|(other, _)| other == key));
        for (key, answer) in answers {
            let before = self.health.get(&key);
            let is_same = before.is_some_and(|health| kind(&health.answer) == kind(&answer));
            has_changed |= !is_same;
            let since = before.filter(|_| is_same).map_or(at, |health| health.since);
            let failure = match &answer {
                Answer::No(failure) => Some(failure.clone()),
                _ => None,
            };
            let was_down = self.last_change(key).is_some_and(|change| change.failure.is_some());
            let is_change = match &answer {
                Answer::Yes { .. } => was_down,
                Answer::No(_) => !was_down,
                Answer::NotAsked => false,
            };
            if is_change {
                self.changes.push_back(Change { key, at, failure });
                if self.changes.len() > REMEMBERED {
                    self.changes.pop_front();
                }
            }
            self.health.insert(key, Health { answer, since });
        }
        has_changed
    }

    pub(super) fn of(&self, key: BindKey) -> Option<&Health> {
        self.health.get(&key)
    }

    /// The last changes, the oldest first.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    fn last_change(&self, key: BindKey) -> Option<&Change> {
        self.changes.iter().rev().find(|change| change.key == key)
    }
}

/// The answer without its details, which change each time.
fn kind(answer: &Answer) -> u8 {
    match answer {
        Answer::Yes { .. } => 0,
        Answer::No(_) => 1,
        Answer::NotAsked => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn outage_is_one_change_and_its_end_another() {
        let key: BindKey = "default".parse().expect("a key");
        let mut book = HealthBook::default();
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let yes = || Answer::Yes { took: Duration::from_millis(1) };
        let no = || Answer::No("gone".to_owned());
        let answers = [yes(), no(), no(), Answer::NotAsked, no(), yes(), yes()];
        for (second, answer) in (0..).zip(answers) {
            book.note(vec![(key, answer)], at(second));
        }
        let changes: Vec<_> =
            book.changes().map(|change| (change.at, change.failure.clone())).collect();
        assert_eq!(changes, [(at(1), Some("gone".to_owned())), (at(5), None)]);
        assert_eq!(book.of(key).expect("an answer").since, at(5));
    }
}
