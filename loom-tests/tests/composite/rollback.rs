//! Calls that charge one limit, find another one empty, and give the charge back.

use brimful_loom_tests::CompositeModel;

/// Exactly one of two gets the last token of the second limit. The other call gives back what it took from the first.
#[test]
fn two_takers() {
    CompositeModel::new(&[3, 2], 1)
        .thread(|actor| _ = actor.take(1))
        .thread(|actor| _ = actor.take(1))
        .explore(&["+|-", "-|+"]);
}

/// The same for calls that show the numbers of each limit.
#[test]
fn two_decisions() {
    CompositeModel::new(&[3, 2], 1)
        .thread(|actor| actor.decide(1))
        .thread(|actor| actor.decide(1))
        .explore(&["+|-", "-|+"]);
}

/// Two tokens, or one and one. While the first call has charged the first limit, a third call may be refused.
#[test]
fn two_tokens_or_one_and_one() {
    CompositeModel::new(&[4, 3], 1)
        .thread(|actor| _ = actor.take(2))
        .thread(|actor| {
            actor.take(1);
            actor.take(1);
        })
        .preemptions(2)
        .explore(&["+|--", "-|++", "-|+-"]);
}

/// Two calls take from both limits, and a third takes from the second limit alone.
#[test]
fn two_takers_of_both_and_one_of_the_second() {
    CompositeModel::new(&[3, 2], 1)
        .thread(|actor| actor.take_of([0, 1]))
        .thread(|actor| actor.take_of([0, 1]))
        .thread(|actor| actor.take_of([1]))
        .preemptions(2)
        .explore_joined(&["+|-|-", "-|+|-", "-|-|+"]);
}

/// One call takes from both limits, and two take from one each. The call that takes from the first limit is refused
/// because of a charge that is given back: the third outcome.
#[test]
fn a_taker_of_both_and_one_of_each() {
    CompositeModel::new(&[2, 2], 1)
        .thread(|actor| actor.take_of([0, 1]))
        .thread(|actor| actor.take_of([0]))
        .thread(|actor| actor.take_of([1]))
        .preemptions(2)
        .explore_joined(&["+|-|-", "-|+|+", "-|-|+"]);
}

/// Two calls take from the same limits in opposite orders. Neither waits for the other. Each may be refused because
/// of the other's charge: the third outcome.
#[test]
fn two_takers_in_opposite_orders() {
    CompositeModel::new(&[2, 2], 1)
        .thread(|actor| actor.take_of([0, 1]))
        .thread(|actor| actor.take_of([1, 0]))
        .explore_joined(&["+|-", "-|+", "-|-"]);
}

/// The same beside a call that takes from one limit.
#[test]
fn two_takers_in_opposite_orders_and_one_of_the_first() {
    CompositeModel::new(&[2, 2], 1)
        .thread(|actor| actor.take_of([0, 1]))
        .thread(|actor| actor.take_of([1, 0]))
        .thread(|actor| actor.take_of([0]))
        .preemptions(2)
        .explore_joined(&["+|-|-", "-|+|-", "-|-|+", "-|-|-"]);
}

/// A caller joins the queue while a call has charged the first limit, which earns slowly. The call is refused at the
/// second limit, and the waiter is served when that one has earned a token, not when the first one has.
#[test]
fn given_back_before_a_waiter() {
    CompositeModel::new(&[3, 2], 1)
        .slow_first()
        .thread(|actor| _ = actor.take(1))
        .thread(|actor| {
            actor.take(1);
            actor.enter(1);
        })
        .preemptions(2)
        .explore(&["+|-w|+", "-|+w|+"]);
}

/// The same for a call that shows the numbers of each limit.
#[test]
fn given_back_by_a_decision_before_a_waiter() {
    CompositeModel::new(&[3, 2], 1)
        .slow_first()
        .thread(|actor| actor.decide(1))
        .thread(|actor| {
            actor.take(1);
            actor.enter(1);
        })
        .preemptions(2)
        .explore(&["+|-w|+", "-|+w|+"]);
}

/// The same for a call that is ready to wait, but not for so long.
#[test]
fn given_back_at_a_deadline_before_a_waiter() {
    CompositeModel::new(&[3, 2], 1)
        .slow_first()
        .thread(|actor| actor.enter_within(1, 1))
        .thread(|actor| {
            actor.take(1);
            actor.enter(1);
        })
        .preemptions(2)
        .explore(&["+|-w|+", "t|+w|+"]);
}
