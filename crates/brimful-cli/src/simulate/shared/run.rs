//! Runs `simulate --redis`.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use brimful::Quotas;
use tokio::runtime::Builder;

use super::pace::Pace;
use super::report::{Lateness, Outcome};
use super::server::{Answer, Server};
use crate::simulate::Args;
use crate::simulate::flow;
use crate::simulate::replay::{Decided, Ready, Replay};
use crate::simulate::report::Report;
use crate::{Failure, Verdict};

/// Replays the logs in this process, and then on the server, and prints both.
pub(crate) fn run(args: &Args, url: &str, out: &mut impl Write) -> Result<Verdict, Failure> {
    let pace = Pace::new(args.speed)?;
    let quotas = args.quotas()?.into_iter().next().context("no quota is given")?;
    let faster = pace.quotas(&quotas)?;
    let keyed = args.are_keyed()?;
    let runtime = Builder::new_multi_thread().enable_all().build().context("no threads")?;
    // A server that is not there is an error before the logs are read, which may take long.
    let server = runtime.block_on(Server::connect(url, &faster, args.shared.connections))?;
    let mut local = [Replay::new(quotas.clone(), keyed.then_some(args.max_keys), false)?.keeping()];
    let intake = flow::run(args, &mut local)?;
    let [mut local] = local;
    let decided = Arc::new(local.take_decided());
    local.span().map_or(Ok(()), |span| pace.check(span))?;
    let keys = u32::try_from(local.keys()).context("too many keys")?;
    let answers = runtime.block_on(async {
        let answers = server.replay(&decided, pace).await;
        // Also after an error.
        server.delete(keys).await.and(answers)
    })?;
    let (remote, outcome) = compared(quotas, &decided, &answers, pace)?;
    let outcome = Outcome { faster, connections: args.shared.connections, pace, ..outcome };
    let reports = [&remote, &local].map(|replay| Report::new(args, &intake, replay));
    outcome.print(&reports, args.json, out)?;
    let is_violated = reports.iter().any(|report| report.violations > 0);
    Ok(if is_violated { Verdict::Violated } else { Verdict::Held })
}

/// Counts the server's decisions on its own clock, which begins with the log, and compares each with that of this process.
fn compared(quotas: Quotas, decided: &[Decided], answers: &[Option<Answer>], pace: Pace) -> Result<(Replay, Outcome)> {
    let mut answered: Vec<(&Decided, Answer)> =
        decided.iter().zip(answers).filter_map(|(decided, answer)| Some((decided, (*answer)?))).collect();
    if answered.is_empty() && !decided.is_empty() {
        bail!("--redis: the server answered no request");
    }
    let outcome = Outcome {
        unanswered: (decided.len() - answered.len()) as u64,
        otherwise: otherwise(&answered),
        late: Lateness::new(answered.iter().map(|(_, answer)| answer.late).collect()),
        ..Outcome::new(quotas.clone(), pace)
    };
    // The sort is stable: equal times stay in the order of the log.
    answered.sort_by_key(|(_, answer)| answer.at);
    let mut remote = Replay::of_others(quotas);
    if let (Some((_, first)), Some(begun)) = (answered.first().copied(), decided.first()) {
        for (Decided { request, .. }, answer) in answered {
            let stamp = begun.request.stamp.plus(pace.of_log(answer.at - first.at));
            remote.add(Decided { request: Ready { stamp, ..*request }, outcome: answer.outcome })?;
        }
    }
    Ok((remote, outcome))
}

/// Returns the number of requests that were decided otherwise. Requests of the same key, stamp and cost are alike: the
/// connections send them in any order, so only the number of those that were admitted counts.
fn otherwise(answered: &[(&Decided, Answer)]) -> u64 {
    let mut more_here: BTreeMap<_, i64> = BTreeMap::new();
    for (Decided { request, outcome }, answer) in answered {
        let more = i64::from(outcome.is_ok()) - i64::from(answer.outcome.is_ok());
        *more_here.entry((request.stamp, request.key, request.cost)).or_default() += more;
    }
    more_here.into_values().map(i64::unsigned_abs).sum()
}
