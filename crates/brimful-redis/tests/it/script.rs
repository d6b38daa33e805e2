//! The script against the exact arithmetic, and against the core, on a clock that the tests drive.
//!
//! `BRIMFUL_SCRIPT_OPS` sets the operations of each test: by default 20 000 for each quota.

use std::collections::HashMap;

use brimful::{MockClock, Quota, Quotas, RateLimiter, Tokens};
use brimful_redis::engine::{Bucket, Limit, Operation, execute};
use redis::Cmd;
use redis::aio::MultiplexedConnection;

use crate::server::server;

const SOURCE: &str = include_str!("../../src/redis/token_bucket.lua");

/// Microseconds since 1970, about now.
pub(crate) const START: u64 = 1_800_000_000_000_000;

/// The most requests in a call.
const MOST: usize = 64;

/// Loads the script, with the time from a third argument, and returns its hash. Its keys do not expire, because they
/// would by the server's clock.
async fn load(connection: &mut MultiplexedConnection) -> String {
    let replaced = |source: String, old: &str, new: &str| {
        assert_eq!(source.matches(old).count(), 1, "{old}");
        source.replace(old, new)
    };
    let source =
        replaced(SOURCE.to_owned(), "redis.call('TIME')", "{ string.sub(ARGV[3], 1, -7), string.sub(ARGV[3], -6) }");
    let source = replaced(source, "'PSETEX', key, millis, state", "'SET', key, state");
    let source = replaced(source, "state, 'PX', millis, 'NX'", "state, 'NX'");
    let source = replaced(source, ", 'PX', new[2]", "");
    redis::cmd("SCRIPT").arg("LOAD").arg(source).query_async(connection).await.unwrap()
}

/// The operations of each test and quota.
pub(crate) fn operations() -> usize {
    operations_or(20_000)
}

/// The operations that `BRIMFUL_SCRIPT_OPS` asks for.
pub(crate) fn operations_or(usual: usize) -> usize {
    std::env::var("BRIMFUL_SCRIPT_OPS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// An operation on a key.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) key: usize,
    pub(crate) operation: Operation,
    pub(crate) limits: Vec<(Limit, u64)>,
    pub(crate) at: u64,
    pub(crate) id: Option<u64>,
}

/// Returns the number in the given count of bytes.
fn bytes(count: usize, number: u64) -> Vec<u8> {
    number.to_be_bytes()[8 - count..].to_vec()
}

/// Returns the command that executes the steps, those of a key together, in one call of the script.
fn command(script: &str, steps: &[&Step]) -> Cmd {
    let (mut states, mut records, mut limits, mut requests) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for of_key in steps.chunk_by(|one, next| one.key == next.key) {
        let name = format!("{{key-{}}}", of_key[0].key);
        requests.push(bytes(1, of_key.len() as u64));
        for step in of_key {
            let operation = match step.operation {
                Operation::Peek => 0,
                Operation::Take => 1,
                Operation::TakeUpTo => 2,
                Operation::Charge => 3,
                Operation::Add => 4,
                Operation::Reset => 5,
            };
            let flag = if step.id.is_some() { 8 } else { 0 };
            requests.extend([bytes(1, operation + flag), bytes(1, step.limits.len() as u64)]);
            for (limit, amount) in &step.limits {
                if !limits.contains(limit) {
                    limits.push(*limit);
                }
                let nth = limits.iter().position(|known| known == limit).unwrap() as u64 + 1;
                requests.extend([bytes(2, nth), bytes(7, *amount)]);
            }
            requests.extend(step.id.map(|_| bytes(4, 86_400_000)));
            records.extend(step.id.map(|id| format!("{name}#{id}")));
        }
        states.push(name);
    }
    requests.insert(0, bytes(1, states.len() as u64));
    let numbers = limits.iter().flat_map(|limit| {
        [limit.per_micro(), limit.per_token(), limit.capacity(), limit.debt(), limit.initial_deficit()]
    });
    let limits: Vec<u8> = numbers.flat_map(|number| bytes(7, number)).collect();
    let mut command = redis::cmd("EVALSHA");
    command.arg(script).arg(states.len() + records.len()).arg(states).arg(records);
    command.arg(limits).arg(requests.concat()).arg(steps[0].at);
    command
}

/// Runs the steps on the server, several at the same time in one call, and returns the replies as numbers, and the calls.
async fn run(connection: &mut MultiplexedConnection, script: &str, steps: &[Step]) -> (Vec<Vec<u64>>, usize) {
    let (mut calls, mut replies, mut begin) = (Vec::new(), vec![Vec::new(); steps.len()], 0);
    for call in steps.chunk_by(|one, next| one.at == next.at).flat_map(|same| same.chunks(MOST)) {
        let mut sorted: Vec<usize> = (begin..begin + call.len()).collect();
        sorted.sort_by_key(|&nth| steps[nth].key);
        begin += call.len();
        calls.push(sorted);
    }
    for some in calls.chunks(100) {
        let mut pipe = redis::pipe();
        for call in some {
            let call: Vec<&Step> = call.iter().map(|&nth| &steps[nth]).collect();
            pipe.add_command(command(script, &call));
        }
        let texts: Vec<Vec<u8>> = pipe.query_async(connection).await.unwrap();
        for (call, text) in some.iter().zip(texts) {
            let mut rest = &text[..];
            let mut number = |bytes: usize| {
                let (number, after) = rest.split_at(bytes);
                rest = after;
                number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            };
            let clock = number(7);
            assert_eq!(clock, steps[call[0]].at);
            for &nth in call {
                let step = &steps[nth];
                let (status, at) = (number(1), number(7));
                assert!(status < 2, "an error in {text:?}");
                let mut buckets: Vec<(u64, u64)> = Vec::new();
                for (limit, amount) in &step.limits {
                    assert_eq!(number(7), limit.per_token());
                    buckets.push((number(7), status * amount));
                }
                if step.operation != Operation::Take {
                    buckets.iter_mut().for_each(|(_, done)| *done = number(7));
                }
                replies[nth] = vec![status, at];
                replies[nth].extend(buckets.into_iter().flat_map(|(deficit, done)| [deficit, done]));
            }
            assert!(rest.is_empty());
        }
    }
    (replies, calls.len())
}

/// A generator of random numbers (xorshift64*), whose sequence is the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(most)) >> 64) as u64
    }

    /// Returns a number whose size is random too.
    pub(crate) fn of_any_size(&mut self, most: u64) -> u64 {
        let bits = self.below(u64::from(u64::BITS - most.leading_zeros()) + 1);
        self.below(1 << bits.min(62)).min(most)
    }
}

/// Quotas of all kinds: slow, fast, rounded, with a start below the burst, several.
pub(crate) fn all_quotas() -> Vec<Quotas> {
    let mut all: Vec<Quotas> = [
        "1/s burst 1000000000",
        "60/min",
        "100/s burst 200",
        "50000/h",
        "2000000/day",
        "10000000/s burst 100000000",
        "1000000000/s",
        "1000/day",
        "7/s burst 3.5",
        "1000003/h",
        "16777213/day",
        "100/s burst 200; 5000/h; 50000/day",
        "3/s; 7/min burst 100",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect();
    all.push(Quota::per_second(10).burst(50).initial(5).into());
    all
}

/// The exact buckets of keys, and the replies that are remembered for ids.
#[derive(Default)]
struct Reference {
    buckets: HashMap<usize, Vec<Bucket>>,
    records: HashMap<(usize, u64), Vec<u64>>,
    repeated: usize,
}

/// Takes the step on the exact buckets, and returns the reply that the script has to give.
fn expected(reference: &mut Reference, step: &Step) -> Vec<u64> {
    let Step { key, operation, limits, at, id } = step;
    let Reference { buckets, records, repeated } = reference;
    if let Some(record) = id.and_then(|id| records.get(&(*key, id))) {
        *repeated += 1;
        return record.clone();
    }
    let known = buckets.get(key).cloned();
    let mut now: Vec<Bucket> = match known {
        Some(known) => known.iter().zip(limits).map(|(bucket, (limit, _))| bucket.at(limit, *at)).collect(),
        None => limits.iter().map(|(limit, _)| Bucket::new(limit, *at)).collect(),
    };
    let (admitted, done) = execute(*operation, &mut now, limits);
    let starts_low = limits.iter().any(|(limit, _)| limit.initial_deficit() > 0);
    let is_new = !buckets.contains_key(key);
    let changed = *operation == Operation::Reset || done.iter().any(|&done| done > 0) || is_new && starts_low;
    let mut reply = vec![u64::from(admitted), now[0].mark];
    reply.extend(now.iter().zip(done).flat_map(|(bucket, done)| [bucket.deficit, done]));
    if changed {
        // Full buckets are not stored.
        if now.iter().all(|bucket| bucket.deficit == 0) && !starts_low {
            buckets.remove(key);
        } else {
            buckets.insert(*key, now);
        }
        if let Some(id) = id {
            records.insert((*key, *id), reply.clone());
        }
    }
    reply
}

/// Returns random operations on the keys of two limiters, with these quotas and the next, the same ones in every run: often
/// several at the same time, and at most one more than `at_once`. Some have ids, and are repeated at the same time and later.
pub(crate) fn random_steps(all: &[Quotas], nth: usize, operations: usize, at_once: u64) -> Vec<Step> {
    const OPERATIONS: [Operation; 8] = [
        Operation::Take,
        Operation::Take,
        Operation::Take,
        Operation::TakeUpTo,
        Operation::Charge,
        Operation::Add,
        Operation::Peek,
        Operation::Reset,
    ];
    const KEYS: usize = 5;
    let mut random = Random(0x9e37_79b9 + nth as u64);
    // Two limiters, with keys of their own.
    let limiters = [nth, (nth + 1) % all.len()]
        .map(|nth| all[nth].as_slice().iter().map(|quota| Limit::new(quota).unwrap()).collect::<Vec<Limit>>());
    let (mut at, mut left, mut sent) = (START, 0, HashMap::new());
    (0..operations)
        .map(|_| {
            let which = random.below(2) as usize;
            let limits = &limiters[which];
            if left == 0 {
                left = 1 + random.of_any_size(at_once);
                // Often until a token or the burst is there, and sometimes back.
                let limit = limits[random.below(limits.len() as u64) as usize];
                at = match random.below(8) {
                    0..6 => at + random.of_any_size(limit.per_token().div_ceil(limit.per_micro()) * 2),
                    6 => at + random.of_any_size((limit.capacity() + limit.debt()) / limit.per_micro() + 2),
                    _ => at - random.of_any_size(3_600_000_000),
                }
                .min(1 << 52);
            }
            left -= 1;
            let operation = OPERATIONS[random.below(8) as usize];
            // An amount that is just there, at random, or any.
            let key = which * KEYS + random.below(KEYS as u64) as usize;
            let amounts = limits.iter().map(|limit| match random.below(4) {
                0 => (*limit, limit.per_token()),
                1 => (*limit, 0),
                2 => (*limit, random.of_any_size(limit.capacity() + limit.debt() + 1)),
                _ => (*limit, limit.per_token() * random.below(1 + limit.capacity() / limit.per_token())),
            });
            let step = Step { key, operation, limits: amounts.collect(), at, id: None };
            if random.below(8) > 0 {
                return step;
            }
            let id = random.below(50);
            let first = sent.entry((key, id)).or_insert(Step { id: Some(id), ..step });
            Step { at, ..first.clone() }
        })
        .collect()
}

/// Holds the replies against the exact arithmetic, and returns the number of the repeated requests among them.
pub(crate) fn check(quotas: &Quotas, steps: &[Step], replies: &[Vec<u64>]) -> usize {
    assert_eq!(steps.len(), replies.len());
    let (mut reference, mut admitted, mut refused) = (Reference::default(), 0, 0);
    for (step, reply) in steps.iter().zip(replies) {
        assert_eq!(&expected(&mut reference, step), reply, "{quotas}: {step:?}");
        *(if reply[0] == 1 { &mut admitted } else { &mut refused }) += 1;
    }
    assert!(refused > steps.len() / 100 && admitted > steps.len() / 10, "{quotas}: {admitted}, {refused}");
    reference.repeated
}

/// Many requests in a call, one after the other: also on the same key, with several operations and quotas, and with ids that
/// are repeated in the same call and later.
#[tokio::test]
async fn the_script_is_the_exact_arithmetic() {
    let server = server!();
    let mut connection = server.connection().await;
    let script = load(&mut connection).await;
    let all = all_quotas();
    for (nth, quotas) in all.iter().enumerate() {
        let steps = random_steps(&all, nth, operations(), 100);
        let (replies, calls) = run(&mut connection, &script, &steps).await;
        let repeated = check(quotas, &steps, &replies);
        assert!(repeated > steps.len() / 100 && calls < steps.len() / 4, "{calls}, {repeated}");
        let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    }
}

/// The same decisions as the core's, on one bucket, at times that do not run backwards.
///
/// The core counts in units of its own, and a full bucket loses less than one of them when it is taken from. So at the very
/// instant at which a token is there, the core may refuse a call that the script admits. Such a call is recognised by the
/// exact arithmetic, and both buckets are filled anew.
#[tokio::test]
async fn the_script_decides_as_the_core() {
    let server = server!();
    let mut connection = server.connection().await;
    let script = load(&mut connection).await;
    let (mut all, mut at_the_instant) = (0, 0);
    for (nth, quotas) in all_quotas().iter().enumerate() {
        let [quota] = quotas.as_slice() else { continue };
        let limit = Limit::new(quota).unwrap();
        if !limit.is_exact() {
            continue;
        }
        let mut random = Random(0x5bd1_e995 + nth as u64);
        let mut at = START;
        let mut costs = Vec::new();
        let steps: Vec<Step> = (0..operations())
            .map(|_| {
                let micros = limit.per_token().div_ceil(limit.per_micro());
                // The core's clock has a range of 18 years.
                at += match random.below(10) {
                    4..9 => random.of_any_size(micros * 2),
                    9 if at < START + 400_000_000_000_000 => {
                        random.of_any_size(limit.capacity() / limit.per_micro() / 8 + 2)
                    }
                    _ => 0,
                };
                // Whole tokens, or quarters if both count them exactly.
                let quarter = Tokens::from_parts(0, 250_000_000_000).unwrap();
                let is_exact = limit.tokens(limit.cost(quarter)) == quarter
                    && (quota.resolution().whole() == 0 && quarter.pico().is_multiple_of(quota.resolution().pico()));
                let quarters = 1 + random.of_any_size(4 * u64::from(quota.capacity().whole()) + 4);
                let quarters = if is_exact && random.below(2) == 0 { quarters } else { quarters.div_ceil(4) * 4 };
                let cost = Tokens::from_parts((quarters / 4) as u32, quarters % 4 * quarter.pico()).unwrap();
                costs.push(cost);
                let limits = vec![(limit, limit.cost(cost))];
                Step { key: nth, operation: Operation::Take, limits, at, id: None }
            })
            .collect();
        let (replies, _) = run(&mut connection, &script, &steps).await;
        let clock = MockClock::new();
        // Both buckets start with the first call.
        clock.set((steps[0].at - START) * 1_000 + 1);
        let core = RateLimiter::with_clock(*quota, clock.clone());
        for ((step, reply), cost) in steps.iter().zip(&replies).zip(costs) {
            clock.set((step.at - START) * 1_000 + 1);
            let admitted = reply[0] == 1;
            let by_core = core.try_acquire_n(cost).is_ok();
            all += 1;
            if by_core != admitted {
                // The units by which the bucket is above or below the cost.
                let (deficit, amount) = (reply[2] - if admitted { step.limits[0].1 } else { 0 }, step.limits[0].1);
                let margin = (limit.capacity() as f64 - deficit as f64 - amount as f64) / limit.per_token() as f64;
                let units = margin.abs() / quota.resolution().as_f64();
                assert!(units <= 3.0, "{quota}: {cost} at {}: script {admitted}, core {by_core}: {margin}", step.at);
                at_the_instant += 1;
                // The rest of this quota's operations would be compared on different buckets.
                break;
            }
        }
    }
    println!("{all} decisions, {at_the_instant} at the very instant of a token");
    assert!(all > operations());
}
