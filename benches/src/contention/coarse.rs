//! Clocks that a thread keeps, and whose reading is a load.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use brimful::{CoarseClock, CoarseUpkeep, RateLimiter};
use governor::clock::QuantaUpkeepClock;

use super::limiters::Limiter;
use super::states::{DRAINED, FULL};
use super::{Scenario, measure, plot};
use crate::bench::Scale;
use crate::contenders::Floor;
use crate::harness::Contender;
use crate::limit::Limit;
use crate::report::{Bar, Report};

/// The interval at which each library's thread reads the time.
const INTERVAL: Duration = Duration::from_millis(1);

const FLOOR: &str = "floor: coarse clock, load, CAS";
const PACKED: &str = "the same, of a time and a count";
const FLOOR_DENIED: &str = "floor: coarse clock, load";
const BRIMFUL: &str = "brimful, CoarseClock";
const GOVERNOR: &str = "governor, QuantaUpkeepClock";

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const ADMITTED: &str = "coarse: admitted";
    const DENIED: &str = "coarse: denied";
    if ![ADMITTED, DENIED].iter().any(|name| scale.wants(name)) {
        return Ok(());
    }
    let _upkeep = CoarseUpkeep::start(INTERVAL)?;
    let theirs = QuantaUpkeepClock::from_interval(INTERVAL).map_err(io::Error::other)?;
    let rate_nets = rate_net::CoarseClock::spawn(INTERVAL)?;
    let field = |limit: Limit| {
        let ours = RateLimiter::with_clock(limit.quota(), CoarseClock);
        let rate_net = rate_net::DirectLimiter::with_quota(limit.rate_net()).with_clock(rate_nets.clone());
        let governor = governor::RateLimiter::direct_with_clock(limit.governors(), theirs.clone());
        [
            Contender::new(BRIMFUL, move || ours.take()),
            Contender::new("rate-net, CoarseClock", move || rate_net.take()),
            Contender::new(GOVERNOR, move || governor.take()),
        ]
    };
    let (floor, word, packed, look) = (Floor::default(), Floor::default(), Floor::default(), Floor::default());
    let k = black_box(30);
    let mut admitted = vec![
        Contender::new("load, CAS", move || word.swap_timeless()),
        Contender::new(FLOOR, move || floor.swap(&CoarseClock)),
        Contender::new(PACKED, move || packed.swap_packed(&CoarseClock, k)),
    ];
    admitted.extend(field(FULL));
    let mut denied = vec![Contender::new(FLOOR_DENIED, move || look.look(&CoarseClock))];
    denied.extend(field(DRAINED));
    let bars = vec![(BRIMFUL, FLOOR, Bar::AtMost(1.4)), (BRIMFUL, GOVERNOR, Bar::AtMost(0.9))];
    let scenarios = vec![
        Scenario { name: ADMITTED.to_owned(), contenders: admitted, bars },
        Scenario { name: DENIED.to_owned(), contenders: denied, bars: Vec::new() },
    ];
    measure(scenarios, scale, report)?;
    plot::bars(scale, ADMITTED, "coarse", "A token, on a clock that a thread keeps", report)
}
