//! Random sequences of calls to a model, beside exact buckets: one for each dimension.

use std::time::Duration;

use brimful::MockClock;
use brimful::model::{Dimension, DimensionHint, ModelAcquire, ModelQuota, Permit, ServerHints, Usage};
use brimful::{Clock, Quota, RateLimiter};
use brimful_oracle::ExactBucket;
use brimful_oracle::window::{Bound, WindowScan};
use proptest::prelude::*;

use crate::model::{Limiter, in_flight, limiter, used};
use crate::support::PICO;
use crate::waiting::poll;

const MINUTE: u128 = 60_000_000_000;
const DAY: u128 = 24 * 60 * MINUTE;
const SLOTS: usize = 4;

/// A bucket may hold this much less than an exact one, in 10⁻¹² token: a few units.
const SLACK: f64 = 1e7;

/// A dimension: its exact bucket, its grants, and the bound of all windows.
struct Exact {
    dimension: Dimension,
    bucket: ExactBucket,
    scan: WindowScan,
    most: u64,
    period: u128,
    /// The amount that hints of the server took, less what was earned since, in 10⁻¹² token, as of a reading.
    taken: (u128, u64),
}

/// A call that was admitted: its last usage, and the amount that it was really charged in each dimension.
struct Call {
    usage: Usage,
    real: Vec<u128>,
}

fn cost(dimension: Dimension, usage: Usage) -> u128 {
    u128::from(match dimension {
        Dimension::Rpm | Dimension::Rpd => 1,
        Dimension::Tpm | Dimension::Tpd => usage.total(),
        Dimension::InputTpm => usage.input,
        _ => usage.output,
    })
}

impl Exact {
    fn all(quota: &ModelQuota) -> Vec<Exact> {
        let of = |&dimension: &Dimension| {
            let most = quota.limit(dimension)?;
            let day = matches!(dimension, Dimension::Rpd | Dimension::Tpd);
            let (period, capacity) = (if day { DAY } else { MINUTE }, u128::from(most));
            let bucket = ExactBucket::new(most, period, capacity * PICO, capacity * PICO);
            let scan = WindowScan::new(Bound::new(capacity, capacity, period));
            Some(Exact { dimension, bucket, scan, most, period, taken: (0, 0) })
        };
        Dimension::ALL[..6].iter().filter_map(of).collect()
    }

    /// Returns the tokens above the cost of a call. One that costs nothing here waits for a debt too.
    fn beyond(&self, now: u64, usage: Usage) -> f64 {
        self.bucket.beyond(now, (cost(self.dimension, usage) * PICO) as i128)
    }

    fn outstanding(&self, now: u64) -> u128 {
        let (taken, at) = self.taken;
        taken.saturating_sub(u128::from(self.most) * PICO * u128::from(now - at) / self.period)
    }

    /// Takes over what is left by the server's count, while `others` are in flight.
    fn correct(&mut self, now: u64, left: u64, others: u64) {
        let (held, outstanding) = (self.bucket.held_pico(now), self.outstanding(now));
        let above = held - i128::from(left) * PICO as i128;
        if above > 0 {
            self.bucket.take(now, above as u128);
            self.taken = (outstanding + above as u128, now);
            return;
        }
        let unseen = match self.dimension {
            Dimension::Rpm | Dimension::Rpd => others,
            _ if others > 0 => return,
            _ => 0,
        };
        let below = i128::from(left.min(self.most).saturating_sub(unseen)) * PICO as i128 - held.max(0);
        let raised = ((below.max(0) as u128) / 8).min(outstanding);
        self.bucket.give_back(now, raised);
        self.taken = (outstanding - raised, now);
    }

    fn take(&mut self, now: u64, usage: Usage) {
        self.bucket.take(now, cost(self.dimension, usage) * PICO);
        self.scan.push(now, cost(self.dimension, usage) as i128);
    }

    /// Settles a call of which `real` was charged, in 10⁻¹² token, for another usage; a request as well, if it is given
    /// back. Returns the amount that is charged then.
    fn settle(&mut self, now: u64, real: u128, before: Usage, after: Option<Usage>) -> u128 {
        let before = cost(self.dimension, before) * PICO;
        let after = after.map_or(0, |after| cost(self.dimension, after) * PICO);
        if before == after {
            return real;
        }
        if after > real {
            return real + self.bucket.charge(now, after - real);
        }
        let back = before.min(real).saturating_sub(after);
        let room = u128::from(self.most) * PICO - self.bucket.held_pico(now).max(0) as u128;
        let room = room + self.bucket.held_pico(now).min(0).unsigned_abs();
        let back = back.min(room.saturating_sub(self.outstanding(now)));
        self.bucket.give_back(now, back);
        self.scan.push(now, -(back.div_ceil(PICO) as i128));
        real - back
    }

    /// Settles a call for another usage in all dimensions.
    fn settle_all(all: &mut [Exact], now: u64, call: &mut Call, after: Option<Usage>) {
        for (exact, real) in all.iter_mut().zip(&mut call.real) {
            *real = exact.settle(now, *real, call.usage, after);
        }
        call.usage = after.unwrap_or(call.usage);
    }

    fn check(&self, limiter: &Limiter) -> Result<(), TestCaseError> {
        let now = limiter.clock().now();
        let missing = self.most as f64 - self.bucket.held_pico(now) as f64 / PICO as f64;
        let is = used(limiter, self.dimension) as f64;
        prop_assert!(is > missing - 1e-3 && is < missing + 1.001, "{}: {is} used, {missing} missing", self.dimension);
        if let Some(worst) = self.scan.worst() {
            prop_assert!(!worst.margin.is_violation(), "{}: {worst:?}", self.dimension);
        }
        Ok(())
    }
}

/// A random quota: any of the dimensions, with few tokens.
fn quota(genes: [u16; 6]) -> ModelQuota {
    let limit = |gene: u16| (!gene.is_multiple_of(3)).then_some(u64::from(gene) + 50);
    let [rpm, tpm, input_tpm, output_tpm, rpd, tpd] = genes.map(limit);
    let mut quota = ModelQuota::new().max_parallel_requests(SLOTS as u64);
    (quota.rpm, quota.tpm, quota.input_tpm, quota.output_tpm) = (rpm, tpm, input_tpm, output_tpm);
    (quota.rpd, quota.tpd) = (rpd, tpd);
    quota
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_model_decides_as_exact_buckets_and_keeps_to_the_bound_of_every_window(
        genes in any::<[u16; 6]>(),
        steps in proptest::collection::vec((0..12u8, 0..120u64, 0..120u64), 1..120),
    ) {
        let quota = quota(genes);
        let (limiter, mut exact) = (limiter(quota), Exact::all(&quota));
        let mut permits: Vec<(Permit<MockClock>, Call)> = Vec::new();
        for (step, a, b) in steps {
            let (now, usage) = (limiter.clock().now(), Usage::from((a, b)));
            match step {
                0..=4 => {
                    let least = exact.iter().map(|exact| exact.beyond(now, usage)).fold(f64::INFINITY, f64::min);
                    let is_free = permits.len() < SLOTS;
                    match limiter.try_acquire("m", usage) {
                        Ok(permit) => {
                            prop_assert!(is_free && least >= 0.0, "{least}");
                            exact.iter_mut().for_each(|exact| exact.take(now, usage));
                            let real = exact.iter().map(|exact| cost(exact.dimension, usage) * PICO).collect();
                            permits.push((permit, Call { usage, real }));
                        }
                        Err(error) => {
                            prop_assert!(!is_free || least < SLACK, "{error}, {least}");
                            let none = error.dimension() == Some(Dimension::MaxParallelRequests);
                            prop_assert!(none != is_free, "{error}");
                        }
                    }
                }
                5..=7 if !permits.is_empty() => {
                    let nth = (a as usize) % permits.len();
                    let (permit, call) = &mut permits[nth];
                    let actual = Usage::from((a, b));
                    permit.commit(actual);
                    Exact::settle_all(&mut exact, now, call, Some(actual));
                }
                8 if !permits.is_empty() => {
                    let (permit, mut call) = permits.swap_remove((a as usize) % permits.len());
                    permit.cancel();
                    Exact::settle_all(&mut exact, now, &mut call, None);
                }
                9 if !permits.is_empty() => drop(permits.swap_remove((a as usize) % permits.len())),
                // The server has counted more, or less.
                10 => for exact in &mut exact {
                    let left = a * b / 60;
                    let hint = DimensionHint::new().remaining(left);
                    limiter.observe("m", &ServerHints::new().dimension(exact.dimension, hint));
                    exact.correct(now, left, permits.len() as u64);
                },
                _ => limiter.clock().advance(Duration::from_millis(a * b)),
            }
            prop_assert_eq!(in_flight(&limiter), permits.len());
            for exact in &exact {
                exact.check(&limiter)?;
            }
        }
    }

    /// Waiters of any estimates are granted in order, each at the first instant at which all dimensions admit it.
    #[test]
    fn each_waiter_is_granted_at_the_first_instant_at_which_all_dimensions_admit_it(
        genes in any::<[u16; 6]>(),
        estimates in proptest::collection::vec((0..50u64, 0..50u64), 1..20),
    ) {
        let mut quota = quota(genes);
        quota.max_parallel_requests = None;
        // No cost is above a burst: the least limit is 50.
        let estimates: Vec<_> = estimates.into_iter().map(|(a, b)| Usage::from((a / 2, b / 2))).collect();
        let limiter = limiter(quota);
        let apart: Vec<_> = Dimension::ALL[..6].iter().filter_map(|&dimension| {
            let day = matches!(dimension, Dimension::Rpd | Dimension::Tpd);
            let period = Duration::from_secs(if day { 86_400 } else { 60 });
            Some((dimension, RateLimiter::new(Quota::new(quota.limit(dimension)?, period))))
        }).collect();
        let mut waits: Vec<ModelAcquire<MockClock>> = estimates.iter().map(|&usage| limiter.acquire("m", usage)).collect();
        let begun: Vec<_> = waits.iter_mut().map(poll).collect();
        limiter.clock().advance(Duration::from_secs(86_400 * 40));
        let mut now = 0;
        for ((usage, wait), begun) in estimates.into_iter().zip(&mut waits).zip(begun) {
            let n = |dimension| cost(dimension, usage) as u32;
            let due = |(dimension, limiter): &(Dimension, RateLimiter)| {
                limiter.at(now).time_until(n(*dimension)).expect("within the burst").as_nanos() as u64
            };
            now += apart.iter().map(due).max().unwrap_or_default();
            for (dimension, limiter) in &apart {
                prop_assert!(limiter.at(now).try_acquire_n(n(*dimension)).is_ok());
            }
            let granted = begun.or_else(|| poll(wait)).expect("forty days are enough").expect("it is granted");
            prop_assert_eq!(granted.waited().as_nanos() as u64, now);
        }
        prop_assert_eq!(in_flight(&limiter), 0);
    }
}
