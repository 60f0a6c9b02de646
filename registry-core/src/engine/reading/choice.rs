//! Which of several replicas that are fit gets a read: the less loaded of two random ones.
//!
//! The power of two random choices (Mitzenmacher, 2001) spreads the load nearly as well as the choice of the least loaded
//! one, and does not send all callers to the same replica at once. The load grows with the square of the connections in
//! use and with the latency, and falls with the weight. Of the two, each is taken with a probability in inverse proportion
//! to its load. So a replica of three times the weight gets three times the reads, also while there is hardly any load,
//! and one that is busy gets hardly any.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::counts::OnPrimary;
use super::member::{Fitness, Member};
use super::request::ReadRequest;
use crate::backend::Backend;

/// The number of steps in which probabilities are told apart.
const FINENESS: u64 = 1 << 20;

/// Chooses a replica that is fit for the read, and not among `excluded`. Otherwise says why there is none.
pub(super) fn choose<C: Backend>(
    members: &[Arc<Member<C>>],
    request: &ReadRequest,
    excluded: &[Arc<Member<C>>],
    ramp: Duration,
) -> Result<Arc<Member<C>>, OnPrimary> {
    let now = Instant::now();
    let mut why = OnPrimary::NoReplica;
    // The last one of weight 0, for when no other is fit.
    let mut reserve = None;
    let mut pair: [Option<&Arc<Member<C>>>; 2] = [None, None];
    let mut count = 0;
    for member in members {
        if excluded.iter().any(|other| Arc::ptr_eq(other, member)) {
            continue;
        }
        match member.fitness(request, now) {
            Fitness::Fit => {}
            Fitness::Behind => {
                why = OnPrimary::Behind;
                continue;
            }
            Fitness::Unfit => continue,
        }
        if member.weight == 0 {
            reserve = Some(member);
            continue;
        }
        // Reservoir sampling: each pair is as likely as any other.
        count += 1;
        match (count, random(count)) {
            (1, _) => pair[0] = Some(member),
            (2, _) => pair[1] = Some(member),
            (_, at) if at < 2 => pair[at as usize] = Some(member),
            _ => {}
        }
    }
    let chosen = match pair {
        [Some(one), Some(two)] => {
            let (of_one, of_two) = (one.load(now, ramp), two.load(now, ramp));
            let share_of_one = of_two / (of_one + of_two);
            let takes_one = (random(FINENESS) as f64) < share_of_one * FINENESS as f64;
            Some(if takes_one { one } else { two })
        }
        [one, _] => one.or(reserve),
    };
    chosen.map(Arc::clone).ok_or(why)
}

/// A random number below `bound`, by a generator of the thread (SplitMix64).
fn random(bound: u64) -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0_u8));
    }
    let state = STATE.with(|state| {
        state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        state.get()
    });
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % bound.max(1)
}

#[cfg(test)]
mod tests {
    use super::random;

    #[test]
    fn random_numbers_are_below_their_bound_and_spread() {
        let mut counts = [0_u32; 5];
        for _ in 0..5000 {
            counts[random(5) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
