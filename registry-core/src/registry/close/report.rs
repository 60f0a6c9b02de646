//! What closing came to.

use std::fmt;

use serde::Serialize;

use crate::settings::BindKey;

/// What closing a registry, or some of its engines, came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CloseReport {
    /// The engines that still had sessions lent when the wait ended, and how many. Callers that wait for a session and
    /// have not noticed yet that the registry is closed are counted as well. After
    /// [`Registry::close`](crate::Registry::close) it is empty, unless the task that closes has some itself.
    pub lent: Vec<(BindKey, u32)>,
    /// The engines whose sessions were not waited for, as the task that closes has them itself, and how many. They are
    /// among [`lent`](Self::lent). The task has done nothing with them for 5 s, or for half of the limit if that is
    /// less, but for 1 s at least: another future of the same task, as in a `join!`, may be busy for so long before it
    /// uses its session again.
    pub held_by_caller: Vec<(BindKey, u32)>,
}

impl CloseReport {
    /// Whether all sessions were returned.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lent.is_empty()
    }
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_complete() {
            return f.write_str("closed: all sessions came back");
        }
        f.write_str("closed, with sessions still lent:")?;
        for (key, lent) in &self.lent {
            write!(f, "\n  bind `{key}`: {lent}")?;
            if let Some((_, own)) = self.held_by_caller.iter().find(|(other, _)| other == key) {
                write!(f, ", of which the task that closes has {own} itself")?;
            }
        }
        Ok(())
    }
}
