//! Hints of the server give back only what hints have taken: every bound holds, whatever a server says.

use std::time::Duration;

use brimful::model::{Dimension, DimensionHint, ModelQuota, Permit, ServerHints};
use brimful::{Clock, MockClock};
use brimful_oracle::window::{Bound, WindowScan};
use proptest::prelude::*;

use crate::model::{Limiter, advance, limiter, used};

const MINUTE: u128 = 60_000_000_000;
const TPM: u64 = 300;

fn remaining(dimension: Dimension, left: u64) -> ServerHints {
    ServerHints::new().dimension(dimension, DimensionHint::new().remaining(left))
}

/// The limit of the account is ten times as high as ours, and each answer says that much of it is left.
#[test]
fn a_server_with_a_higher_limit_does_not_lift_ours() {
    let limiter = limiter(ModelQuota::new().rpm(100));
    let mut admitted = 0;
    for _ in 0..600 {
        for permit in (0..200).map_while(|_| limiter.try_acquire("m", 1).ok()) {
            permit.observe(&remaining(Dimension::Rpm, 900));
            admitted += 1;
        }
        advance(&limiter, 100);
    }
    assert_eq!(admitted, 199);
}

#[test]
fn what_is_earned_since_is_not_given_back() {
    let limiter = limiter(ModelQuota::new().rpm(60));
    limiter.observe("m", &remaining(Dimension::Rpm, 20));
    let raise = || (0..100).for_each(|_| limiter.observe("m", &remaining(Dimension::Rpm, 60)));
    // Ten of the forty are earned, and are used.
    advance(&limiter, 10_000);
    (0..30).for_each(|_| drop(limiter.try_acquire("m", 1).expect("they are there")));
    raise();
    assert_eq!(used(&limiter, Dimension::Rpm), 30);
    raise();
    assert_eq!(used(&limiter, Dimension::Rpm), 30, "nothing is outstanding");
}

#[test]
fn what_a_pause_empties_is_not_given_back() {
    let limiter = limiter(ModelQuota::new().rpm(60).rpd(1_000));
    let permits: Vec<_> = (0..30).map(|_| limiter.try_acquire("m", 1).expect("it is there")).collect();
    limiter.observe("m", &remaining(Dimension::Rpm, 5));
    limiter.observe("m", &ServerHints::new().refused().retry_after(Duration::from_secs(20)));
    advance(&limiter, 20_000);
    for permit in permits {
        permit.observe(&remaining(Dimension::Rpm, 60));
    }
    (0..100).for_each(|_| limiter.observe("m", &remaining(Dimension::Rpm, 60)));
    assert_eq!(used(&limiter, Dimension::Rpm), 60);
}

/// The call was charged before hints took the rest. Without them, its tokens would find a bucket that is full again.
#[test]
fn tokens_that_are_given_back_fill_no_further_than_without_hints() {
    let limiter = limiter(ModelQuota::new().tpm(600));
    let mut permit = limiter.try_acquire("m", 400).expect("it is there");
    advance(&limiter, 60_000);
    limiter.observe("m", &remaining(Dimension::Tpm, 100));
    permit.commit(0);
    assert_eq!(used(&limiter, Dimension::Tpm), 500);
    drop(permit);
    advance(&limiter, 10_000);
    let permit = limiter.try_acquire("m", 200).expect("a hundred were earned");
    permit.cancel();
    assert_eq!(used(&limiter, Dimension::Tpm), 400);
}

/// A dimension, with what was charged at the grants, less what was given back.
struct Account {
    dimension: Dimension,
    scan: WindowScan,
}

impl Account {
    fn new(dimension: Dimension, most: u64) -> Self {
        let most = u128::from(most);
        Account { dimension, scan: WindowScan::new(Bound::new(most, most, MINUTE)) }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        if let Some(worst) = self.scan.worst() {
            prop_assert!(!worst.margin.is_violation(), "{}: {worst:?}", self.dimension);
        }
        Ok(())
    }

    fn cost(&self, tokens: u64) -> i128 {
        if self.dimension == Dimension::Rpm { 1 } else { tokens.into() }
    }
}

/// Runs `call`, and counts what it gave back: at most one more than the whole tokens that are seen.
fn counted(limiter: &Limiter, accounts: &mut [Account], call: impl FnOnce()) {
    let before: Vec<_> = accounts.iter().map(|account| used(limiter, account.dimension)).collect();
    call();
    for (account, before) in accounts.iter_mut().zip(before) {
        // A token beyond those that are seen, but requests are whole.
        let unseen = u64::from(account.dimension != Dimension::Rpm);
        let back = before.saturating_sub(used(limiter, account.dimension)) + unseen;
        account.scan.push(limiter.clock().now(), -i128::from(back));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_window_keeps_to_its_bound_under_any_hints(
        steps in proptest::collection::vec((0..12u8, 0..300u64, 0..60u64), 1..150),
    ) {
        const RPM: u64 = 20;
        let limiter = limiter(ModelQuota::new().rpm(RPM).tpm(TPM));
        let mut accounts = [Account::new(Dimension::Rpm, RPM), Account::new(Dimension::Tpm, TPM)];
        let mut permits: Vec<(Permit<MockClock>, u64)> = Vec::new();
        for (step, a, b) in steps {
            match step {
                0..=4 => if let Ok(permit) = limiter.try_acquire("m", a) {
                    for account in &mut accounts {
                        let cost = account.cost(a);
                        account.scan.push(limiter.clock().now(), cost);
                    }
                    permits.push((permit, a));
                },
                5 if !permits.is_empty() => {
                    let (mut permit, estimate) = permits.swap_remove(b as usize % permits.len());
                    counted(&limiter, &mut accounts, || permit.commit(a.min(estimate)));
                }
                6 if !permits.is_empty() => {
                    let (permit, _) = permits.swap_remove(b as usize % permits.len());
                    counted(&limiter, &mut accounts, || permit.cancel());
                }
                7 => permits.clear(),
                8 => limiter.observe("m", &remaining(Dimension::Rpm, b)),
                9 => limiter.observe("m", &remaining(Dimension::Tpm, a)),
                10 if b < 5 => limiter.pause_for("m", Duration::from_secs(b)),
                // Many answers that say the same.
                10 => (0..20).for_each(|_| {
                    limiter.observe("m", &remaining(Dimension::Rpm, 1_000));
                    limiter.observe("m", &remaining(Dimension::Tpm, 1_000));
                }),
                _ => advance(&limiter, a * b * 4),
            }
            for account in &accounts {
                account.check()?;
            }
        }
    }

    /// Each round takes all that is there, before and after the server says that everything is left.
    #[test]
    fn what_is_lowered_given_back_and_raised_is_at_most_a_burst(
        rounds in proptest::collection::vec((1..=TPM, 0..120_000u64, 0..TPM, 0..TPM, 1..2_000u64), 1..8),
    ) {
        let limiter = limiter(ModelQuota::new().tpm(TPM));
        let mut account = Account::new(Dimension::Tpm, TPM);
        for (estimate, call, left, actual, pause) in rounds {
            let answer = limiter.try_acquire("m", estimate);
            if answer.is_ok() {
                account.scan.push(limiter.clock().now(), estimate.into());
            }
            advance(&limiter, call);
            limiter.observe("m", &remaining(Dimension::Tpm, left));
            if let Ok(mut permit) = answer {
                counted(&limiter, std::slice::from_mut(&mut account), || permit.commit(actual.min(estimate)));
            }
            advance(&limiter, pause);
            for _ in 0..2 {
                for n in [128, 64, 32, 16, 8, 4, 2, 1] {
                    while limiter.try_acquire("m", n).is_ok() {
                        account.scan.push(limiter.clock().now(), n.into());
                    }
                }
                (0..20).for_each(|_| limiter.observe("m", &remaining(Dimension::Tpm, TPM)));
            }
            account.check()?;
        }
    }
}
