//! A participant: the part of a unit of work on one bind, which is a session in a transaction.
//!
//! | file | content |
//! |---|---|
//! | `any.rs` | [`AnyParticipant`]: the interface of a participant for the unit of work and its commit, without the type of its bind |
//! | `bind.rs` | [`BindParticipant`]: the participant on a bind, which implements the interface |
//! | `begin.rs` | the begin of its transaction |
//! | `roll_back.rs` | the rollback of its transaction, in any state |

mod any;
mod begin;
mod bind;
mod roll_back;

pub(super) use any::{AnyParticipant, CommitFailure, CommitRefusal, RollbackOutcome, Verification};
pub(super) use bind::BindParticipant;
