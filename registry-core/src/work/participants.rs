//! The participants of a unit of work, one for each bind that it has touched.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::error::WorkError;
use super::meters::{WorkEnd, note_unit_of_work};
use super::participant::{AnyParticipant, Verification};
use crate::bind::Bind;
use crate::session::Session;
use crate::settings::BindKey;

/// The participants in the order of their first use or, during a commit, in the order of the commits.
///
/// Dropping the list abandons its remaining participants: each is rolled back in the background, or its connection is
/// closed. A participant that was committed or rolled back is removed from the list before.
#[derive(Default)]
pub(super) struct Participants(Vec<Box<dyn AnyParticipant>>);

impl Participants {
    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.iter().position(|participant| participant.key() == *key)
    }

    /// The session of the participant at `index`, which must be a participant on the bind `B`.
    pub(super) fn session<B: Bind>(&mut self, index: usize) -> Result<&mut Session<B>, WorkError> {
        session_of(&mut *self[index])
    }

    /// The key of a participant whose index occurs more than once in `indices`.
    pub(super) fn repeated(&self, indices: &[usize]) -> Option<BindKey> {
        let mut seen = indices.iter().enumerate();
        let (_, repeated) = seen.find(|(at, index)| indices[..*at].contains(index))?;
        Some(self[*repeated].key())
    }

    /// The index and the error of the first participant whose transaction is known to have ended.
    pub(super) fn first_end(&self) -> Option<(usize, WorkError)> {
        self.iter().enumerate().find_map(|(at, participant)| Some((at, participant.end_error()?)))
    }
}

/// The session of a participant, which must be a participant on the bind `B`.
pub(super) fn session_of<B: Bind>(
    participant: &mut dyn AnyParticipant,
) -> Result<&mut Session<B>, WorkError> {
    let key = participant.key();
    // Two bind types with the same key may have different connection types.
    participant.session().downcast_mut().ok_or(WorkError::Twice { key })
}

/// Checks that the transaction is still open. Asks the server only if a statement since the last check may have ended it.
pub(super) async fn verify_open(
    participant: &mut dyn AnyParticipant,
    verification: Verification,
) -> Result<(), WorkError> {
    participant.check_locally()?;
    if participant.must_ask_server() { participant.ask_server(verification).await } else { Ok(()) }
}

impl Deref for Participants {
    type Target = Vec<Box<dyn AnyParticipant>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Participants {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for Participants {
    fn drop(&mut self) {
        for participant in self.0.drain(..) {
            note_unit_of_work(participant.key(), WorkEnd::Abandoned);
            participant.abandon();
        }
    }
}

/// The keys of the binds, as a list for the log.
impl fmt::Display for Participants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, participant) in self.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            write!(f, "`{}`", participant.key())?;
        }
        Ok(())
    }
}
