//! The gate of a model: a bucket that expresses pauses, so that all processes see them with the decision itself.
//!
//! It earns a unit in a nanosecond, and a call takes one: so it limits no model. While it has a *deficit* of [`OPEN`]
//! units or more, no call passes. A pause of T nanoseconds makes the deficit T + `OPEN`.
//!
//! Two processes that pause together must not add their pauses. So a pause is a compare-and-set: a call that takes the
//! missing units, from a bucket whose capacity the *request* chooses such that it holds them only if the deficit is no
//! higher than the process has seen. If another one was first, the process sees its pause in the refusal, and takes what
//! is beyond it, or nothing.

use std::time::Duration;

use crate::engine::Limit;

/// The units that calls may take at once: of a millisecond.
const OPEN: u64 = 1_000_000;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(86_400);
const LONGEST_UNITS: u64 = LONGEST.as_nanos() as u64;

/// The gate for a call.
pub(super) const PASS: (Limit, u64) = (Limit::of_nanos(OPEN, LONGEST_UNITS + OPEN), 1);

/// The gate for a request that takes nothing from it.
pub(super) const LOOK: (Limit, u64) = (PASS.0, 0);

/// Returns a pause in microseconds, rounded up.
pub(super) fn micros(pause: Duration) -> u64 {
    pause.min(LONGEST).as_nanos().div_ceil(1_000) as u64
}

/// Returns the gate that closes for a pause if its deficit is at most this one; `None` if such a deficit is a pause that is
/// no shorter.
pub(super) fn close(pause: Duration, deficit: u64) -> Option<(Limit, u64)> {
    let after = micros(pause) * 1_000 + OPEN;
    // An open gate has a deficit of less than `OPEN`, which is a millisecond more or less.
    let missing = if deficit < OPEN { after } else { after.saturating_sub(deficit) };
    let most = if deficit < OPEN { OPEN } else { deficit };
    (missing > 0).then(|| (Limit::of_nanos(most + missing, LONGEST_UNITS + OPEN), missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Bucket, Operation, execute};

    /// Closes as a process does that has seen a deficit, and returns whether the request was admitted.
    fn closes(bucket: &mut Bucket, pause: u64, seen: u64) -> bool {
        let gate = close(Duration::from_secs(pause), seen).expect("a longer pause");
        let mut buckets = [bucket.at(&gate.0, bucket.mark)];
        let (admitted, _) = execute(Operation::Take, &mut buckets, &[gate]);
        [*bucket] = buckets;
        admitted
    }

    fn opens_in(bucket: &Bucket) -> u64 {
        (bucket.deficit + PASS.1).saturating_sub(PASS.0.capacity()).div_ceil(1_000_000_000)
    }

    #[test]
    fn the_longest_of_several_pauses_holds() {
        let mut bucket = Bucket { mark: 0, deficit: 17 };
        // Two processes that have seen an open gate.
        assert!(closes(&mut bucket, 20, 0));
        assert!(!closes(&mut bucket, 30, 0));
        assert_eq!(opens_in(&bucket), 21, "20 s, and a moment");
        // The second one has seen the pause now, and so has a third one.
        let seen = bucket.deficit;
        assert!(closes(&mut bucket, 30, seen));
        assert!(!closes(&mut bucket, 25, seen));
        assert!((30..=31).contains(&opens_in(&bucket)));
        assert_eq!(close(Duration::from_secs(25), bucket.deficit), None);
        // Ten seconds later.
        let later = bucket.at(&PASS.0, 10_000_000);
        assert!((20..=21).contains(&opens_in(&later)));
        let over = bucket.at(&PASS.0, 31_000_000);
        assert!(over.holds(&PASS.0, PASS.1));
    }

    #[test]
    fn a_pause_is_at_most_a_day() {
        let mut bucket = Bucket { mark: 0, deficit: 0 };
        assert!(closes(&mut bucket, u64::MAX, 0));
        assert_eq!(opens_in(&bucket), 86_401);
        let kept = bucket.at(&PASS.0, 0);
        assert_eq!(kept.deficit, bucket.deficit, "no request clips it");
    }

    #[test]
    fn a_gate_limits_no_model() {
        let mut bucket = [Bucket { mark: 0, deficit: 0 }];
        for _ in 0..1_000 {
            assert!(execute(Operation::Take, &mut bucket, &[PASS]).0);
        }
        assert_eq!(bucket[0].at(&PASS.0, 1).deficit, 0, "a microsecond earns a thousand calls");
    }
}
