//! A participant: the part of a unit of work on one bind, which is a session in a transaction.
//!
//! | file | what it has |
//! |---|---|
//! | `any.rs` | [`AnyParticipant`]: what the unit of work and its commit ask of a participant, without the type of its bind |
//! | `bind.rs` | [`BindParticipant`]: the participant on a bind, which answers |
//! | `begin.rs` | how its transaction is begun |
//! | `roll_back.rs` | how its transaction is rolled back, whatever state it is in |

mod any;
mod begin;
mod bind;
mod roll_back;

pub(super) use any::{AnyParticipant, CommitFailure, CommitRefusal, RollbackOutcome, Verification};
pub(super) use bind::BindParticipant;
