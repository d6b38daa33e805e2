//! Shared helpers: quotas of every kind, the units in which they count, and pseudo-random numbers.

use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, RateLimiter, Tokens};
use brimful_oracle::ExactBucket;

/// Parts of 10⁻¹² token in a token.
pub(crate) const PICO: u128 = 1_000_000_000_000;

/// The last reading that the word can hold, 2⁵⁹ − 1 ns. Later readings count as this one.
pub(crate) const LAST: u64 = (1 << 59) - 1;

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A limiter on a clock that stands at zero, for calls that are given the time.
pub(crate) fn limiter(quota: Quota) -> RateLimiter<MockClock> {
    RateLimiter::with_clock(quota, MockClock::new())
}

#[track_caller]
pub(crate) fn tokens(text: &str) -> Tokens {
    text.parse().unwrap()
}

pub(crate) fn pico(tokens: Tokens) -> u128 {
    u128::from(tokens.whole()) * PICO + u128::from(tokens.pico())
}

/// The amount of `pico` in 10⁻¹² token, at most [`Tokens::MAX`].
pub(crate) fn from_pico(pico: u128) -> Tokens {
    match u32::try_from(pico / PICO) {
        Ok(whole) => Tokens::from_parts(whole, (pico % PICO) as u64).unwrap(),
        Err(_) => Tokens::MAX,
    }
}

/// The number of operations of a run: the value of the environment variable, or else `default`.
pub(crate) fn operations(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.replace('_', "").parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}"))
    })
}

/// Pseudo-random numbers, the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

/// A number of up to `bits` bits, in which each length has the same probability. Zero gives 1, so
/// that everything made from it shrinks.
pub(crate) fn any_size(gene: u64, bits: u32) -> u64 {
    let length = (gene % u64::from(bits)) as u32;
    let random = (gene / u64::from(bits)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (1 << length) | (random >> 1 >> (63 - length))
}

/// A quota in the units in which its bucket counts. The limiter's guarantees hold in these units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// The rate in lowest terms: tokens per nanoseconds.
    pub(crate) tokens: u64,
    pub(crate) nanos: u128,
    /// The number of units in a token.
    pub(crate) per_token: u128,
    /// In units, like the debt.
    pub(crate) capacity: u128,
    pub(crate) debt: u128,
}

impl Counted {
    #[track_caller]
    pub(crate) fn new(quota: Quota) -> Self {
        let probe = limiter(quota.initial(0));
        Counted::in_units(quota, per_token(quota, quota.resolution(), |now| probe.at(now).balance()))
    }

    /// The same for the bucket of a key, which counts in the coarser unit of a table's slots.
    #[track_caller]
    pub(crate) fn of_keys<K: ?Sized, C, S>(limiter: &KeyedRateLimiter<K, C, S>) -> Self {
        let probe = KeyedRateLimiter::<u64>::builder().quota(limiter.quota().initial(0)).clock(MockClock::new());
        let probe = probe.max_keys(1).build().unwrap();
        // The first call starts the bucket.
        assert!(probe.key(&0).at(0).try_acquire().is_err());
        let per_token = per_token(limiter.quota(), limiter.quota().resolution(), |now| probe.key(&0).at(now).balance());
        Counted::in_units(limiter.quota(), per_token)
    }

    fn in_units(quota: Quota, per_token: u128) -> Self {
        let (tokens, period) = quota.rate();
        let down = |amount| units(amount, per_token, |pico, by| pico / by);
        let (capacity, debt) = (down(quota.capacity()), down(quota.debt_limit()));
        Counted { tokens, nanos: period.as_nanos(), per_token, capacity, debt }
    }

    /// An exact bucket that counts in the same unit, and has been full since the clock's origin.
    pub(crate) fn exact(&self) -> ExactBucket {
        ExactBucket::in_units(self.per_token, self.tokens, self.nanos, self.capacity, self.debt)
    }

    pub(crate) fn up(&self, amount: Tokens) -> u128 {
        units(amount, self.per_token, u128::div_ceil)
    }

    pub(crate) fn down(&self, amount: Tokens) -> u128 {
        units(amount, self.per_token, |pico, by| pico / by)
    }

    pub(crate) fn tokens_up(&self, units: u128) -> Tokens {
        let (whole, rest) = (units / self.per_token, units % self.per_token);
        from_pico(whole * PICO + (rest * PICO).div_ceil(self.per_token))
    }

    pub(crate) fn tokens_down(&self, units: u128) -> Tokens {
        from_pico(units * PICO / self.per_token)
    }

    /// Units per nanosecond, in lowest terms.
    pub(crate) fn rate(&self) -> (u128, u128) {
        let units = u128::from(self.tokens) * self.per_token;
        let divisor = gcd(units, self.nanos);
        (units / divisor, self.nanos / divisor)
    }

    /// The nanoseconds until `amount` units have been earned, rounded up.
    pub(crate) fn earning(&self, amount: u128) -> u128 {
        let (units, nanos) = self.rate();
        // A product that does not fit is beyond every clock.
        amount.checked_mul(nanos).map_or(u128::MAX, |product| product.div_ceil(units))
    }
}

/// The units in an amount, with its fraction rounded by `divide`. Whole tokens and fraction are
/// converted apart, because their product in 10⁻¹² token may not fit.
fn units(amount: Tokens, per_token: u128, divide: impl Fn(u128, u128) -> u128) -> u128 {
    u128::from(amount.whole()) * per_token + divide(u128::from(amount.pico()) * per_token, PICO)
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The units in a token. `resolution` reports them only to 10⁻¹², so this takes the first of the
/// layout's candidates that fits what an empty bucket, started at zero, is seen to earn.
#[track_caller]
fn per_token(quota: Quota, resolution: Tokens, balance_at: impl Fn(u64) -> f64) -> u128 {
    let (tokens, period) = quota.rate();
    let nanos = period.as_nanos();
    let earned_first = |&unit: &u128| {
        let Some(product) = u128::from(tokens).checked_mul(unit).filter(|&product| product <= nanos) else {
            return false;
        };
        let first = nanos.div_ceil(product);
        let before = if first == 1 { 0 } else { first.div_ceil(2) };
        first <= u128::from(LAST) && balance_at(first as u64) == 1.0 / unit as f64 && balance_at(before as u64) == 0.0
    };
    let whole = (tokens == 1).then_some(nanos);
    let found = whole.into_iter().chain(decimal_units(quota)).find(earned_first);
    let found = found.unwrap_or_else(|| panic!("no unit fits {quota:?}"));
    assert_eq!(pico(resolution), PICO.div_ceil(found), "{quota:?}");
    found
}

/// The candidates for the units of a token, except for the one that a nanosecond earns.
fn decimal_units(quota: Quota) -> impl Iterator<Item = u128> {
    let mut odd = quota.rate().1.as_nanos();
    for factor in [2, 5] {
        while odd.is_multiple_of(factor) {
            odd /= factor;
        }
    }
    let odd = if odd < 1_000 { odd } else { 1 };
    let decimals = (0..=16).flat_map(|j| [1, 2, 5].map(|digit| digit * 10u128.pow(j)));
    decimals.flat_map(move |decimal| [decimal, decimal * odd])
}

/// Any quota: everyday rates, rates of any size in any terms, fractions, with any burst, initial
/// tokens and debt. All zeros give one of the simplest.
pub(crate) fn any_quota(genes: [u64; 6]) -> Quota {
    let [kind, rate, terms, burst, initial, debt] = genes;
    let quota = match kind % 4 {
        0 => everyday(rate, 1 + (terms % 1_000) as u32),
        1 => in_terms(any_size(terms, 63), rate),
        2 => in_terms(1, rate),
        _ => Quota::try_from_rate(per_second(rate), 1.0).ok(),
    };
    let quota = quota.unwrap_or(Quota::per_second(3));
    let whole = any_size(burst / 4, 32) as u32;
    let quota = match burst % 4 {
        0 | 1 => quota.burst(whole),
        2 => quota.burst(1 + whole % 10),
        _ => {
            let burst = Tokens::from_parts(whole - 1, burst % PICO as u64).unwrap();
            // Above 10⁷/s, the unit is too coarse for some fractions.
            quota.try_burst(burst).unwrap_or(quota.burst(1))
        }
    };
    let quota = match initial % 4 {
        0 | 1 => quota,
        2 => quota.initial(0),
        _ => quota.initial(any_size(initial / 4, 32) as u32),
    };
    match debt % 4 {
        0 | 1 => quota,
        2 => quota.max_debt(0),
        _ => quota.max_debt(any_size(debt / 4, 32) as u32),
    }
}

fn everyday(kind: u64, count: u32) -> Option<Quota> {
    Some(match kind % 4 {
        0 => Quota::per_second(count),
        1 => Quota::per_minute(count),
        2 => Quota::per_hour(count),
        _ => Quota::per_day(count),
    })
}

/// From 1 per 10 000 years to 10⁹, with every magnitude equally likely.
fn per_second(gene: u64) -> f64 {
    const SLOWEST: f64 = 1.0 / (10_000.0 * 366.0 * 86_400.0);
    SLOWEST * (1e9 / SLOWEST).powf((gene >> 11) as f64 / (1u64 << 53) as f64)
}

/// About as fast as [`per_second`], as `tokens` per odd period.
fn in_terms(tokens: u64, rate: u64) -> Option<Quota> {
    let nanos = (tokens as f64 * 1e9 / per_second(rate)) as u128;
    let period = Duration::new(u64::try_from(nanos / 1_000_000_000).ok()?, (nanos % 1_000_000_000) as u32);
    Quota::try_new(tokens, period).ok()
}

/// The state of a thread's clock.
#[derive(Clone, Debug)]
struct Thread {
    random: Random,
    skew: u64,
    last: u64,
}

thread_local! {
    static THREAD: Cell<Option<Thread>> = const { Cell::new(None) };
}

/// A clock that errs in every way: it has a skew for each thread, runs backwards, and stalls
/// between the reading and its use. Each thread remembers its last reading, which decides its call:
/// a second reading replaces the first.
pub(crate) struct ErringClock {
    time: AtomicU64,
    /// The longest time that a reading takes.
    pub(crate) step: u64,
    /// The most by which a reading goes back. One in four does.
    pub(crate) back: u64,
    pub(crate) stalls: bool,
}

impl ErringClock {
    pub(crate) fn new(start: u64, step: u64, back: u64) -> Self {
        ErringClock { time: AtomicU64::new(start), step, back, stalls: true }
    }

    /// The time without errors, and without advancing it.
    pub(crate) fn time(&self) -> u64 {
        self.time.load(Ordering::Acquire)
    }

    pub(crate) fn enter(seed: u64, skew: u64) {
        THREAD.set(Some(Thread { random: Random::new(seed), skew, last: 0 }));
    }

    pub(crate) fn last() -> u64 {
        let thread = THREAD.take().expect("the thread called `enter`");
        let last = thread.last;
        THREAD.set(Some(thread));
        last
    }
}

impl Clock for ErringClock {
    fn now(&self) -> u64 {
        // Construction reads the clock on a thread of its own.
        let Some(mut thread) = THREAD.take() else { return self.time.load(Ordering::Relaxed) };
        let random = &mut thread.random;
        let time = self.time.fetch_add(random.below(self.step + 1), Ordering::AcqRel);
        let back = if random.below(4) == 0 { random.below(self.back + 1) } else { 0 };
        thread.last = (time + thread.skew).saturating_sub(back);
        let (reading, stall) = (thread.last, random.below(32));
        let spins = random.below(400);
        THREAD.set(Some(thread));
        match stall {
            0 if self.stalls => thread::yield_now(),
            1..=6 if self.stalls => (0..spins).for_each(|_| spin_loop()),
            _ => {}
        }
        reading
    }
}
