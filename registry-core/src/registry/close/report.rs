//! The result of closing.

use std::fmt;

use serde::Serialize;

use crate::settings::BindKey;

/// The result of closing a registry, or some of its engines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CloseReport {
    /// The engines that still had sessions lent when the wait ended, and the number of those sessions. Callers that
    /// wait for a session and have not noticed yet that the registry is closed are counted as well. After
    /// [`Registry::close`](crate::Registry::close) it is empty, unless the calling task holds sessions itself.
    pub lent: Vec<(BindKey, u32)>,
    /// The engines with sessions that the calling task holds itself, which were not waited for, and the number of those
    /// sessions. They are included in [`lent`](Self::lent). The task has not used these sessions for 5 s, or for half
    /// of the limit if that is less, but for 1 s at least. The delay is there because another future of the same task,
    /// as in a `join!`, may be busy that long before it uses its session again.
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
