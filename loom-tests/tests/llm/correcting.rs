//! Hints of the server correct what is left, while other hints do, and while calls are made and end.

use brimful::model::ModelQuota;
use brimful_loom_tests::LlmModel;

const QUOTA: ModelQuota = ModelQuota::new().tpm(4);

/// The tokens left are never below the server's count.
#[test]
fn two_hints_at_once() {
    LlmModel::new(QUOTA)
        .setup(|actor| drop(actor.take(1)))
        .thread(|actor| actor.correct(1))
        .thread(|actor| actor.correct(1))
        .at_end(|actor, _| assert_eq!(actor.used_tokens(), 3))
        .explore(&["h|h"]);
}

/// A call takes tokens before the hint or after it, and is never charged by it.
#[test]
fn a_hint_against_a_taker() {
    LlmModel::new(QUOTA)
        .thread(|actor| actor.correct(2))
        .thread(|actor| drop(actor.take(2)))
        .at_end(|actor, _| assert!((2..=4).contains(&actor.used_tokens())))
        .explore(&["h|+"]);
}

/// A call gives back tokens that were earned since. The bucket had been full without the hint, so no more than a burst is
/// there, whatever the server says then.
#[test]
fn a_hint_against_tokens_that_are_given_back() {
    LlmModel::new(QUOTA)
        .setup(|actor| {
            actor.keep(actor.take(4));
            actor.advance_minutes(1);
        })
        .thread(|actor| actor.correct(0))
        .thread(|actor| actor.commit(actor.kept(0), 0))
        .preemptions(3)
        .at_end(|actor, _| assert!(actor.drained(4) <= 4))
        .explore(&["h|c"]);
}
