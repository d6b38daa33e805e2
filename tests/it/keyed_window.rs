//! The window bound for every key of a table that forgets, moves and splits all the time, with any
//! threads and clock errors.

use std::collections::HashMap;
use std::thread;

use brimful::{Clock, KeyedRateLimiter, OnFull, Quota};
use brimful_oracle::window::{Bound, worst_window};

use crate::keyed_support::Places;
use crate::support::{Counted, ErringClock, Random, SECOND, operations, tokens};

type Limiter = KeyedRateLimiter<u64, ErringClock, Places>;

/// The conditions of a run: more keys than the table may have.
#[derive(Clone, Copy, Debug)]
struct Contest {
    quota: Quota,
    /// The longest time that a reading takes.
    step: u64,
    keys: u64,
    max_keys: u64,
    places: Places,
    on_full: OnFull,
}

impl Contest {
    fn limiter(&self) -> Limiter {
        // Far from the origin, readings are not whole multiples of anything.
        let clock = ErringClock::new(1 + 1_000 * self.step, self.step, 64 * self.step);
        let builder =
            KeyedRateLimiter::<u64>::builder().quota(self.quota).max_keys(self.max_keys as usize).clock(clock);
        builder.hasher(self.places).on_full(self.on_full).build().unwrap()
    }

    /// A random key. Low keys call more often than high ones.
    fn key(&self, random: &mut Random) -> u64 {
        let key = random.below(self.keys);
        if random.below(2) == 0 { key } else { random.below(key + 1) }
    }
}

/// A grant (positive units) or a give-back (negative units) of a key: the reading of its call, and
/// the error-free times at which the call began and ended.
#[derive(Clone, Copy, Debug)]
struct Entry {
    reading: u64,
    units: i64,
    begun: u64,
    done: u64,
}

fn contests() -> Vec<Contest> {
    let mut contests = Vec::new();
    let quotas = [
        (Quota::per_second(1_000_000).burst(10), 1_000),
        (Quota::per_second(100).burst(5), SECOND / 100),
        (Quota::per_second(3).burst(3), SECOND / 3),
        (Quota::per_minute(7).burst(2), 9 * SECOND),
        (Quota::per_hour(11).burst(2).initial(1), 330 * SECOND),
    ];
    for (index, (quota, token)) in quotas.into_iter().enumerate() {
        let tables = [
            (300, 40, Places::Anywhere, OnFull::EvictLeastDebt),
            (200, 150, Places::Anywhere, OnFull::Deny),
            (60, 30, Places::Same, OnFull::EvictLeastDebt),
            (200, 100, Places::Few(4), OnFull::Deny),
        ];
        for (keys, max_keys, places, on_full) in tables {
            // Most keys find a token again when they come back, and some a full bucket.
            let step = token * 2 / keys / (1 + index as u64 % 2);
            contests.push(Contest { quota, step: step.max(1), keys, max_keys, places, on_full });
        }
    }
    contests
}

const COSTS: [&str; 4] = ["1", "1", "0.3", "2"];

/// Runs `call` on `threads` threads, and returns the noted entries of each key.
fn contend<F>(limiter: &Limiter, contest: &Contest, threads: u64, calls: u64, call: F) -> HashMap<u64, Vec<Entry>>
where
    F: Fn(&mut Random, &mut dyn FnMut(u64, u64, i64, u64)) + Sync,
{
    let noted: Vec<(u64, Entry)> = thread::scope(|scope| {
        let run = |thread: u64| {
            let call = &call;
            scope.spawn(move || {
                ErringClock::enter(thread + 1, 8 * thread * contest.step);
                let (mut random, mut noted) = (Random::new(!thread), Vec::new());
                for _ in 0..calls / threads {
                    call(&mut random, &mut |key, reading, units, begun| {
                        let done = limiter.clock().time();
                        noted.push((key, Entry { reading, units, begun, done }));
                    });
                }
                noted
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut by_key: HashMap<u64, Vec<Entry>> = HashMap::new();
    for (key, entry) in noted {
        by_key.entry(key).or_default().push(entry);
    }
    by_key
}

fn bound(counted: &Counted) -> Bound {
    let (rate, nanos) = counted.rate();
    Bound::new(counted.capacity, rate, nanos)
}

#[test]
fn no_window_of_any_key_is_granted_more_whatever_the_threads_and_clocks_do() {
    let contests = contests();
    let calls = operations("BRIMFUL_KEYED_WINDOW_OPS", 1_500_000) / (contests.len() as u64 * 3);
    let (mut forced, mut full) = (0, 0);
    for contest in contests {
        for threads in 2..=4 {
            let limiter = contest.limiter();
            let counted = Counted::of_keys(&limiter);
            let costs = COSTS.map(tokens);
            let by_key = contend(&limiter, &contest, threads, calls, |random, note| {
                let (key, cost) = (contest.key(random), costs[random.below(4) as usize]);
                let units = counted.up(cost) as i64;
                match random.below(8) {
                    // The call's own reading, which is old when it is used.
                    0..=1 => {
                        let now = limiter.clock().now();
                        if limiter.key(&key).at(now).try_acquire_n(cost).is_ok() {
                            note(key, now, units, 0);
                        }
                    }
                    2 => {
                        let now = limiter.clock().now();
                        for _ in 0..4 {
                            let key = contest.key(random);
                            if limiter.key(&key).at(now).try_acquire_n(cost).is_ok() {
                                note(key, now, units, 0);
                            }
                        }
                    }
                    3 if random.below(16) == 0 => drop(limiter.retain_recent()),
                    _ => {
                        if limiter.try_acquire_n(&key, cost).is_ok() {
                            note(key, ErringClock::last(), units, 0);
                        }
                    }
                }
                assert!(limiter.len() <= limiter.max_keys());
            });
            let (mut worst, mut admitted) = (f64::INFINITY, 0);
            for (key, entries) in by_key {
                let mut grants: Vec<_> = entries.iter().map(|entry| (entry.reading, entry.units)).collect();
                let window = worst_window(bound(&counted), &mut grants).expect("something was admitted");
                assert!(!window.margin.is_violation(), "{contest:?}, {threads} threads, key {key}: {window:?}");
                worst = worst.min(window.margin.as_f64() / counted.capacity as f64);
                admitted += grants.len();
            }
            let share = admitted as f64 / calls as f64;
            let (evicted, refused) = (limiter.evictions(), limiter.refusals());
            (forced, full) = (forced + evicted, full + refused);
            println!(
                "{contest:?}, {threads} threads: {share:.2} admitted a call, {evicted} evicted, {refused} refused, worst margin {worst:.4} bursts"
            );
            assert!(share > 0.05, "a run without grants proves nothing");
        }
    }
    assert!(forced > 100 && full > 100, "{forced} evicted, {full} refused");
}

/// The margin of the worst window. Everything that was given back while the window may have lasted
/// counts.
fn least_margin(counted: &Counted, entries: &[Entry]) -> f64 {
    let mut grants: Vec<Entry> = entries.iter().copied().filter(|entry| entry.units > 0).collect();
    let given: Vec<Entry> = entries.iter().copied().filter(|entry| entry.units < 0).collect();
    grants.sort_unstable_by_key(|entry| entry.reading);
    let (bound, mut worst) = (bound(counted), f64::INFINITY);
    for (first, a) in grants.iter().enumerate() {
        let (mut sum, mut begun, mut done) = (0, u64::MAX, 0);
        for (index, b) in grants.iter().enumerate().skip(first) {
            sum += i128::from(b.units);
            (begun, done) = (begun.min(b.begun), done.max(b.done));
            // A window contains all grants of a reading.
            if grants.get(index + 1).is_some_and(|next| next.reading == b.reading) {
                continue;
            }
            let back = given.iter().filter(|back| back.done >= begun && back.begun <= done);
            let back: i128 = back.map(|back| i128::from(back.units)).sum();
            worst = worst.min(bound.margin(b.reading - a.reading, sum + back).as_f64());
        }
    }
    worst
}

/// Reservations are cancelled or committed for less, and tokens are added. The tokens given back
/// may be granted once more.
#[test]
fn what_is_given_back_to_a_key_is_granted_once_more() {
    let calls = operations("BRIMFUL_KEYED_WINDOW_OPS", 1_500_000) / 50;
    for contest in contests() {
        let limiter = contest.limiter();
        let counted = Counted::of_keys(&limiter);
        let back = |units: u128| -(units as i64);
        let by_key = contend(&limiter, &contest, 3, calls, |random, note| {
            let (key, begun) = (contest.key(random), limiter.clock().time());
            if random.below(8) == 0 {
                let added = limiter.key(&key).add_tokens(tokens("0.3"));
                note(key, 0, back(counted.up(added)), begun);
                return;
            }
            let now = limiter.clock().now();
            let Ok(reservation) = limiter.key(&key).at(now).try_reserve_n(1) else { return };
            note(key, now, counted.up(1.into()) as i64, begun);
            let then = limiter.clock().time();
            match random.below(3) {
                0 => {
                    reservation.at(limiter.clock().now()).cancel();
                    note(key, 0, back(counted.up(1.into())), then);
                }
                1 => {
                    reservation.at(limiter.clock().now()).commit(tokens("0.4"));
                    note(key, 0, back(counted.up(1.into()) - counted.up(tokens("0.4"))), then);
                }
                _ => drop(reservation.at(now).commit(1)),
            }
        });
        let (mut worst, mut granted, mut given) = (f64::INFINITY, 0, 0);
        for (key, entries) in by_key {
            let margin = least_margin(&counted, &entries);
            assert!(margin >= 0.0, "{contest:?}, key {key}: {margin}");
            worst = worst.min(margin / counted.capacity as f64);
            granted += entries.iter().filter(|entry| entry.units > 0).count();
            given += entries.iter().filter(|entry| entry.units < 0).count();
        }
        println!("{contest:?}: {granted} granted, {given} given back of {calls}, worst margin {worst:.4} bursts");
        assert!(granted as u64 > calls / 20 && given as u64 > calls / 40);
    }
}
