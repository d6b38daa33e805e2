//! The script of permits against a model, on a clock that the tests drive.

use std::collections::BTreeMap;

use redis::Cmd;

use crate::script::{Random, START, operations};
use crate::server::server;

const SOURCE: &str = include_str!("../../src/permits/permits.lua");

const LEASE: u64 = 10_000_000;

const PATIENCE: u64 = 1_000_000;

type Id = u8;

#[derive(Clone, Debug)]
enum Step {
    Take { id: Id, limit: usize, waits: bool },
    Renew(Vec<Id>),
    Release(Vec<Id>),
    Peek,
}

impl Step {
    fn random(random: &mut Random) -> Step {
        let id = random.below(9) as Id;
        let ids = |random: &mut Random| (0..=random.below(3)).map(|_| random.below(9) as Id).collect();
        match random.below(20) {
            0..12 => Step::Take { id, limit: random.below(5) as usize, waits: random.below(2) == 0 },
            12..15 => Step::Renew(ids(random)),
            15..19 => Step::Release(ids(random)),
            _ => Step::Peek,
        }
    }

    fn command(&self, script: &str, at: u64) -> Cmd {
        let (name, ids) = match self {
            Step::Take { id, .. } => ("take", std::slice::from_ref(id)),
            Step::Renew(ids) => ("renew", &ids[..]),
            Step::Release(ids) => ("release", &ids[..]),
            Step::Peek => ("peek", &[][..]),
        };
        let mut command = redis::cmd("EVALSHA");
        command.arg(script).arg(2).arg("{k}:permits").arg("{k}:waiters").arg(name).arg(LEASE).arg(PATIENCE);
        if let Step::Take { limit, .. } = self {
            command.arg(limit);
        }
        for id in ids {
            command.arg(&[*id; 16][..]);
        }
        if let Step::Take { waits, .. } = self {
            command.arg(u8::from(*waits));
        }
        command.arg(at);
        command
    }
}

/// The permits of a key, slowly.
#[derive(Debug, Default)]
struct Model {
    mark: u64,
    /// The ends of leases.
    ends: BTreeMap<Id, u64>,
    /// The places of waiters, by their numbers, and the instants at which they are lost.
    places: BTreeMap<u64, (Id, u64)>,
}

impl Model {
    /// Forgets what has ended by now.
    fn settle(&mut self, now: u64) {
        self.mark = now;
        self.ends.retain(|_, end| *end > now);
        self.places.retain(|_, place| place.1 > now);
    }

    fn run(&mut self, step: &Step, at: u64) -> Vec<u64> {
        let mut now = at.max(self.mark);
        let goes_on = |ends: &BTreeMap<Id, u64>, id: &Id| ends.get(id).is_some_and(|end| *end > now);
        match step {
            Step::Take { id, limit, waits } => {
                let holds = goes_on(&self.ends, id);
                let others = self.ends.keys().filter(|other| *other != id && goes_on(&self.ends, other)).count();
                let places: Vec<(u64, Id)> = self
                    .places
                    .iter()
                    .filter(|place| place.1.1 > now)
                    .map(|(number, place)| (*number, place.0))
                    .collect();
                let own = places.iter().find(|place| place.1 == *id).map(|place| place.0);
                let ahead = places.iter().filter(|place| own.is_none_or(|own| place.0 < own)).count();
                let granted = holds || others + ahead < *limit;
                if granted || (*waits && own.is_none()) {
                    now = at.max(self.mark + 1);
                }
                if granted {
                    self.ends.insert(*id, now + LEASE);
                    own.map(|own| self.places.remove(&own));
                    self.settle(now);
                } else if *waits {
                    self.places.insert(own.unwrap_or(now), (*id, now + PATIENCE));
                    self.settle(now);
                }
                let first = self.ends.values().filter(|end| **end > now).min().map_or(0, |end| end - now);
                vec![u64::from(granted), now, others as u64, ahead as u64, first]
            }
            Step::Renew(ids) => {
                let mut renewed = Vec::new();
                for id in ids {
                    renewed.push(u64::from(goes_on(&self.ends, id)));
                    if goes_on(&self.ends, id) {
                        let end = self.ends.get_mut(id).unwrap();
                        *end = (*end).max(now + LEASE);
                    }
                }
                if self.mark > 0 {
                    self.settle(now);
                }
                renewed
            }
            Step::Release(ids) => {
                let before = self.ends.len();
                self.ends.retain(|id, _| !ids.contains(id));
                self.places.retain(|_, place| !ids.contains(&place.0));
                let released = before - self.ends.len();
                if self.mark > 0 {
                    self.settle(now);
                }
                vec![released as u64]
            }
            Step::Peek => {
                let held = self.ends.values().filter(|end| **end > now).count();
                vec![held as u64, self.places.values().filter(|place| place.1 > now).count() as u64]
            }
        }
    }
}

/// The replies are the model's. At every grant fewer leases of others go on than the limit, and the numbers rise.
#[tokio::test]
async fn never_more_leases_than_the_limit() {
    let server = server!();
    let mut connection = server.connection().await;
    let at = "(function() local at = table.remove(ARGV); return { string.sub(at, 1, -7), string.sub(at, -6) } end)()";
    assert_eq!(SOURCE.matches("redis.call('TIME')").count(), 1);
    // The keys do not expire, because they would by the server's clock.
    let source = SOURCE.replace("redis.call('TIME')", at).replace("'PEXPIRE'", "'EXISTS'");
    let script: String = redis::cmd("SCRIPT").arg("LOAD").arg(source).query_async(&mut connection).await.unwrap();
    let (mut random, mut at) = (Random(0x2545_f491), START);
    let steps: Vec<(Step, u64)> = (0..5 * operations())
        .map(|_| {
            at = match random.below(20) {
                0..8 => at,
                8..16 => at + random.of_any_size(PATIENCE),
                16..19 => at + random.of_any_size(2 * LEASE),
                _ => at - random.of_any_size(LEASE),
            };
            (Step::random(&mut random), at)
        })
        .collect();
    let (mut model, mut last, mut granted, mut refused, mut ended) = (Model::default(), 0, 0, 0, 0);
    for batch in steps.chunks(500) {
        let mut pipe = redis::pipe();
        for (step, at) in batch {
            pipe.add_command(step.command(&script, *at));
        }
        let replies: Vec<redis::Value> = pipe.query_async(&mut connection).await.unwrap();
        for ((step, at), reply) in batch.iter().zip(replies) {
            let reply: Vec<u64> = match reply {
                redis::Value::Array(_) => redis::from_redis_value(reply).unwrap(),
                one => vec![redis::from_redis_value(one).unwrap()],
            };
            let before = format!("{model:?}");
            let holds = |id| model.ends.get(id).is_some_and(|end| *end > (*at).max(model.mark));
            let again = matches!(step, Step::Take { id, .. } if holds(id));
            assert_eq!(reply, model.run(step, *at), "{step:?} at {at}: {before}");
            match step {
                Step::Take { limit, .. } if reply[0] == 1 => {
                    assert!(reply[1] > last, "{step:?} at {at}: {before}");
                    (last, granted) = (reply[1], granted + 1);
                    // No call overtakes a waiter, except one that holds its permit already.
                    let held_and_ahead = (reply[2] + reply[3]) as usize;
                    assert!(again || held_and_ahead < *limit, "{step:?} at {at}: {before}");
                }
                Step::Take { .. } => refused += 1,
                Step::Renew(_) => ended += reply.iter().filter(|&&went_on| went_on == 0).count(),
                _ => {}
            }
        }
    }
    println!("{granted} granted, {refused} refused, {ended} renewals too late");
    assert!(granted > steps.len() / 20 && refused > steps.len() / 20 && ended > steps.len() / 100);
}
