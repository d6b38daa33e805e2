//! Asks the server, at the times of the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use brimful::Quotas;
use brimful_redis::{RedisRateLimiter, RedisStore, SharedDecision, Source};
use indicatif::ProgressBar;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::pace::Pace;
use crate::simulate::limits::{Reason, Refusal};
use crate::simulate::replay::Decided;

/// The longest time for an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The time until the first request, in which all tasks begin.
const AHEAD: Duration = Duration::from_millis(50);

/// A connection, as another process has one.
type Limiter = RedisRateLimiter<u32>;

/// The connections to a server.
pub(super) struct Server {
    limiters: Vec<Arc<Limiter>>,
    prefix: String,
}

/// An answer of the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// The time since 1970 on the server's clock.
    pub(super) at: Duration,
    pub(super) outcome: Result<(), Refusal>,
    /// The time of the answer after that of the request in the log, on this machine's clock.
    pub(super) late: Duration,
}

impl Server {
    pub(super) async fn connect(url: &str, quotas: &Quotas, connections: u16) -> Result<Server> {
        let prefix = format!("brimful-simulate-{:016x}", RandomState::new().hash_one(std::process::id()));
        let mut limiters = Vec::new();
        for _ in 0..connections {
            let store = RedisStore::connect(url).await.context("--redis: cannot connect")?;
            let limiter = Limiter::builder(quotas.clone()).prefix(&prefix).deadline(DEADLINE);
            limiters.push(Arc::new(limiter.build(store).context("--redis: at this --speed")?));
        }
        Ok(Server { limiters, prefix })
    }

    /// Sends each request at its time, and returns the answers: `None` if there was none. A request waits until a connection
    /// is free.
    pub(super) async fn replay(&self, requests: &Arc<Vec<Decided>>, pace: Pace) -> Result<Vec<Option<Answer>>> {
        let (stop, stopped) = watch::channel(false);
        let progress = ProgressBar::new(requests.len() as u64);
        let (next, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now() + AHEAD);
        let mut tasks = JoinSet::new();
        for limiter in &self.limiters {
            let (limiter, requests, next) = (limiter.clone(), requests.clone(), next.clone());
            let (mut stopped, progress) = (stopped.clone(), progress.clone());
            tasks.spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(Decided { request, .. }), Some(first)) = (requests.get(nth), requests.first()) else {
                        break;
                    };
                    let due = begun + pace.real(request.stamp.since(first.request.stamp));
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        _ = stopped.wait_for(|&stopped| stopped) => break,
                    }
                    if *stopped.borrow() {
                        break;
                    }
                    let decision = limiter.decide(&request.key, request.cost).await;
                    answers.push((nth, Answer::new(&decision, due.elapsed())));
                    progress.inc(1);
                }
                answers
            });
        }
        let all = async {
            let mut answers = vec![None; requests.len()];
            while let Some(of_task) = tasks.join_next().await {
                of_task.context("a task has ended early")?.into_iter().for_each(|(nth, answer)| answers[nth] = answer);
            }
            Ok::<_, anyhow::Error>(answers)
        };
        let mut all = std::pin::pin!(all);
        tokio::select! {
            answers = &mut all => answers,
            _ = tokio::signal::ctrl_c() => {
                // No request is on its way when the keys are deleted.
                let _ = stop.send(true);
                let _ = all.await;
                bail!("interrupted: the keys on the server were deleted")
            }
        }
    }

    /// Deletes the keys: a full bucket is no key. Returns an error if some may be left.
    pub(super) async fn delete(&self, keys: u32) -> Result<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for limiter in &self.limiters {
            let (limiter, next) = (limiter.clone(), next.clone());
            tasks.spawn(async move {
                while let Some(key) = u32::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().filter(|&key| key < keys)
                {
                    limiter.reset(&key).await?;
                }
                Ok::<_, brimful_redis::SharedError>(())
            });
        }
        for deleted in tasks.join_all().await {
            let prefix = &self.prefix;
            deleted.with_context(|| format!("keys {{{prefix}:…}} may be left until their buckets would be full"))?;
        }
        Ok(())
    }
}

impl Answer {
    fn new(decision: &SharedDecision, late: Duration) -> Option<Answer> {
        let at = decision.decided_at().filter(|_| decision.source() == Source::Store)?;
        // The first limit that refuses, as in this process.
        let refusing =
            decision.limits().iter().enumerate().find(|(_, limit)| limit.retry_after != Some(Duration::ZERO));
        let outcome = match refusing {
            Some((quota, limit)) if !decision.allowed() => {
                let reason = if limit.retry_after.is_none() { Reason::AboveBurst } else { Reason::TooEarly };
                Err(Refusal { quota, reason })
            }
            _ => Ok(()),
        };
        Some(Answer { at, outcome, late })
    }
}
