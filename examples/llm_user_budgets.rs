//! A budget of model tokens for each user and hour: `cargo run --example llm_user_budgets`.

use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, TryAcquireError};

/// A user has 20 000 tokens, which come back over an hour. A call that turns out dearer than its estimate may take a
/// budget 2 000 below zero.
const BUDGET: Quota = Quota::per_hour(20_000).max_debt(2_000);

/// Makes a call to a model for a user: with the most tokens that it may use, and those that it used in the end.
fn call<C: Clock>(
    budgets: &KeyedRateLimiter<String, C>,
    user: &str,
    most: u32,
    used: u32,
) -> Result<(), TryAcquireError> {
    // From here on, other calls of the user cannot have these tokens. If the call fails, and the reservation is dropped,
    // all of them come back.
    let reservation = budgets.key(user).try_reserve_n(most)?;
    reservation.commit(used);
    Ok(())
}

/// Prints a call, and what the user has left.
fn show<C: Clock>(budgets: &KeyedRateLimiter<String, C>, user: &str, most: u32, used: u32) -> Option<Duration> {
    let outcome = call(budgets, user, most, used);
    let answer = match &outcome {
        Ok(()) => format!("used {used} of {most}"),
        Err(refused) => format!("{most} refused: {refused}"),
    };
    println!("{user:<6} {answer:<60} balance {:.0}", budgets.key(user).balance());
    outcome.err().and_then(|refused| refused.retry_after())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = MockClock::new();
    let budgets = KeyedRateLimiter::<String>::builder().quota(BUDGET).clock(clock.clone()).max_keys(100_000).build()?;

    assert_eq!(show(&budgets, "alice", 4_000, 1_500), None); // 18 500 left
    assert_eq!(show(&budgets, "alice", 18_000, 18_000), None); // 500 left
    assert_eq!(show(&budgets, "alice", 500, 1_400), None); // 900 below zero
    // 1 100 tokens are missing for a call of 200: a token comes each 180 ms.
    let wait = show(&budgets, "alice", 200, 200).expect("it is refused");
    assert_eq!(wait, Duration::from_secs(198));
    // No user pays for another.
    assert_eq!(show(&budgets, "bob", 20_000, 9_000), None);

    clock.advance(wait - Duration::from_nanos(1));
    assert!(show(&budgets, "alice", 200, 200).is_some());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(show(&budgets, "alice", 200, 200), None);

    // A call above the budget is never made.
    let refused = call(&budgets, "bob", 20_001, 1).expect_err("it is above the budget");
    assert_eq!(refused.retry_after(), None);
    println!("bob    {refused}");
    Ok(())
}
