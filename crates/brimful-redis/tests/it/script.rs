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
const START: u64 = 1_800_000_000_000_000;

/// Loads the script, with the time from its last argument, and returns its hash. Its keys do not expire, because they
/// would by the server's clock.
async fn load(connection: &mut MultiplexedConnection) -> String {
    let replaced = |source: String, old: &str, new: &str| {
        assert_eq!(source.matches(old).count(), 1, "{old}");
        source.replace(old, new)
    };
    // The argument is removed, because the script counts its arguments.
    let at = "(function() local at = table.remove(ARGV); return { string.sub(at, 1, -7), string.sub(at, -6) } end)()";
    let source = replaced(SOURCE.to_owned(), "redis.call('TIME')", at);
    let source = replaced(
        source,
        "'PSETEX', KEYS[1], ceil((now - real + micros_to_full) / 1000), packed",
        "'SET', KEYS[1], packed",
    );
    redis::cmd("SCRIPT").arg("LOAD").arg(source).query_async(connection).await.unwrap()
}

/// The operations of each test and quota.
fn operations() -> usize {
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
    pub(crate) name: &'static str,
    operation: Operation,
    pub(crate) limits: Vec<(Limit, u64)>,
    pub(crate) at: u64,
}

impl Step {
    fn command(&self, script: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script).arg(1).arg(format!("{{key-{}}}", self.key)).arg(self.name).arg(0);
        let numbers = |limit: &Limit| {
            [limit.per_micro(), limit.per_token(), limit.capacity(), limit.debt(), limit.initial_deficit()]
        };
        let numbers = self.limits.iter().flat_map(|(limit, _)| numbers(limit));
        command.arg(numbers.flat_map(|number| number.to_be_bytes().into_iter().skip(1)).collect::<Vec<u8>>());
        for (_, amount) in &self.limits {
            command.arg(*amount);
        }
        command.arg(self.at);
        command
    }
}

/// Runs the steps on the server, and returns the replies.
async fn run(connection: &mut MultiplexedConnection, script: &str, steps: &[Step]) -> Vec<Vec<u64>> {
    let mut replies = Vec::new();
    for batch in steps.chunks(500) {
        let mut pipe = redis::pipe();
        for step in batch {
            pipe.add_command(step.command(script));
        }
        replies.extend(pipe.query_async::<Vec<Vec<u64>>>(connection).await.unwrap());
    }
    replies
}

/// A generator of random numbers (xorshift64*), whose sequence is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, most: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(most)) >> 64) as u64
    }

    /// Returns a number whose size is random too.
    fn of_any_size(&mut self, most: u64) -> u64 {
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

/// Takes the step on the exact buckets, and returns the reply that the script has to give.
fn expected(buckets: &mut HashMap<usize, Vec<Bucket>>, step: &Step) -> Vec<u64> {
    let Step { key, operation, limits, at, .. } = step;
    let known = buckets.get(key).cloned();
    let mut now: Vec<Bucket> = match known {
        Some(known) => known.iter().zip(limits).map(|(bucket, (limit, _))| bucket.at(limit, *at)).collect(),
        None => limits.iter().map(|(limit, _)| Bucket::new(limit, *at)).collect(),
    };
    let (admitted, done) = execute(*operation, &mut now, limits);
    let starts_low = limits.iter().any(|(limit, _)| limit.initial_deficit() > 0);
    let is_new = !buckets.contains_key(key);
    let changed = *operation == Operation::Reset || done.iter().any(|&done| done > 0) || is_new && starts_low;
    let mut reply = vec![u64::from(admitted), now[0].mark, now[0].mark - at];
    reply.extend(now.iter().zip(done).flat_map(|(bucket, done)| [bucket.deficit, done]));
    if changed {
        // Full buckets are not stored.
        if now.iter().all(|bucket| bucket.deficit == 0) && !starts_low {
            buckets.remove(key);
        } else {
            buckets.insert(*key, now);
        }
    }
    reply
}

/// Returns random operations on five keys, the same ones in every run.
pub(crate) fn random_steps(quotas: &Quotas, nth: usize, operations: usize) -> Vec<Step> {
    const OPERATIONS: [(&str, Operation); 8] = [
        ("take", Operation::Take),
        ("take", Operation::Take),
        ("take", Operation::Take),
        ("take_up_to", Operation::TakeUpTo),
        ("charge", Operation::Charge),
        ("add", Operation::Add),
        ("peek", Operation::Peek),
        ("reset", Operation::Reset),
    ];
    let mut random = Random(0x9e37_79b9 + nth as u64);
    let limits: Vec<Limit> = quotas.as_slice().iter().map(|quota| Limit::new(quota).unwrap()).collect();
    let mut at = START;
    let steps = (0..operations).map(|_| {
        // Often nothing, often until a token or the burst is there, and sometimes back.
        let limit = limits[random.below(limits.len() as u64) as usize];
        at = match random.below(10) {
            0..4 => at,
            4..8 => at + random.of_any_size(limit.per_token().div_ceil(limit.per_micro()) * 2),
            8 => at + random.of_any_size((limit.capacity() + limit.debt()) / limit.per_micro() + 2),
            _ => at - random.of_any_size(3_600_000_000),
        }
        .min(1 << 52);
        let (name, operation) = OPERATIONS[random.below(8) as usize];
        // An amount that is just there, at random, or any.
        let key = random.below(5) as usize;
        let amounts = limits.iter().map(|limit| match random.below(4) {
            0 => (*limit, limit.per_token()),
            1 => (*limit, 0),
            2 => (*limit, random.of_any_size(limit.capacity() + limit.debt() + 1)),
            _ => (*limit, limit.per_token() * random.below(1 + limit.capacity() / limit.per_token())),
        });
        Step { key, name, operation, limits: amounts.collect(), at }
    });
    steps.collect()
}

/// Holds the replies against the exact arithmetic.
pub(crate) fn check(quotas: &Quotas, steps: &[Step], replies: &[Vec<u64>]) {
    assert_eq!(steps.len(), replies.len());
    let (mut buckets, mut admitted, mut refused) = (HashMap::new(), 0, 0);
    for (step, reply) in steps.iter().zip(replies) {
        assert_eq!(&expected(&mut buckets, step), reply, "{quotas}: {step:?}");
        *(if reply[0] == 1 { &mut admitted } else { &mut refused }) += 1;
    }
    assert!(refused > steps.len() / 100 && admitted > steps.len() / 10, "{quotas}: {admitted}, {refused}");
}

#[tokio::test]
async fn the_script_is_the_exact_arithmetic() {
    let server = server!();
    let mut connection = server.connection().await;
    let script = load(&mut connection).await;
    for (nth, quotas) in all_quotas().iter().enumerate() {
        let steps = random_steps(quotas, nth, operations());
        check(quotas, &steps, &run(&mut connection, &script, &steps).await);
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
                Step { key: nth, name: "take", operation: Operation::Take, limits, at }
            })
            .collect();
        let replies = run(&mut connection, &script, &steps).await;
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
                let (deficit, amount) = (reply[3] - if admitted { step.limits[0].1 } else { 0 }, step.limits[0].1);
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
