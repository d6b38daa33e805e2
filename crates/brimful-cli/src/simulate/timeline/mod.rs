//! Admitted and denied tokens over time, and the bucket's level, in a bounded number of intervals.

use brimful::Tokens;

use super::time::Stamp;
pub(crate) use draw::{File, Labels};

mod draw;

/// The possible lengths of intervals, in nanoseconds. Each is a multiple of the one before.
const WIDTHS: [u64; 22] = [
    1_000_000,
    2_000_000,
    10_000_000,
    20_000_000,
    100_000_000,
    200_000_000,
    SECOND,
    2 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    120 * SECOND,
    600 * SECOND,
    1_800 * SECOND,
    3_600 * SECOND,
    7_200 * SECOND,
    21_600 * SECOND,
    43_200 * SECOND,
    DAY,
    10 * DAY,
    100 * DAY,
    1_000 * DAY,
];
const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// The most intervals. The eighteen years of a limiter have fewer intervals of ten days.
const MOST: u64 = 1_000;

/// Equal intervals since the first request. If they become too many, they are merged.
#[derive(Debug)]
pub(crate) struct Timeline {
    first: Option<Stamp>,
    width: u64,
    intervals: Vec<Interval>,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline { first: None, width: WIDTHS[0], intervals: Vec::new() }
    }
}

/// Amounts of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Interval {
    admitted: f64,
    denied: f64,
    /// The least level, at the beginning of the interval and after each request.
    level: Option<f64>,
}

impl Timeline {
    /// Adds intervals up to a request at `stamp`, which is no earlier than the one before. `level`
    /// returns the tokens in the bucket at an instant since then.
    pub(crate) fn reach(&mut self, stamp: Stamp, level: impl Fn(Stamp) -> Option<f64>) {
        let first = *self.first.get_or_insert(stamp);
        while stamp.since(first) / self.width >= MOST {
            self.merge();
        }
        while stamp.since(first) / self.width >= self.intervals.len() as u64 {
            let start = first.plus(self.width * self.intervals.len() as u64);
            self.intervals.push(Interval { level: level(start), ..Interval::default() });
        }
    }

    /// Counts the request for which intervals were added, and the tokens in the bucket after it.
    pub(crate) fn count(&mut self, cost: Tokens, admitted: bool, level: Option<f64>) {
        let Some(interval) = self.intervals.last_mut() else { return };
        *(if admitted { &mut interval.admitted } else { &mut interval.denied }) += cost.as_f64();
        interval.level = least(interval.level, level);
    }

    fn merge(&mut self) {
        let wider = WIDTHS.iter().copied().find(|&width| width > self.width).unwrap_or(self.width * 2);
        let together = (wider / self.width) as usize;
        self.width = wider;
        let merged = self.intervals.chunks(together).map(|parts| Interval {
            admitted: parts.iter().map(|part| part.admitted).sum(),
            denied: parts.iter().map(|part| part.denied).sum(),
            level: parts.iter().fold(None, |level, part| least(level, part.level)),
        });
        self.intervals = merged.collect();
    }
}

fn least(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Stamp {
        Stamp::from_unix(1_000, 0).unwrap().plus(nanos)
    }

    fn filled(times: impl IntoIterator<Item = u64>) -> Timeline {
        let mut timeline = Timeline::default();
        for (number, time) in times.into_iter().enumerate() {
            timeline.reach(at(time), |instant| Some(1_000.0 + instant.since(at(0)) as f64 / 1e6));
            timeline.count(Tokens::new(2), number % 3 != 0, Some(500.0 + number as f64));
        }
        timeline
    }

    #[test]
    fn widths_divide_each_other() {
        assert!(WIDTHS.windows(2).all(|pair| pair[1] > pair[0] && pair[1].is_multiple_of(pair[0])));
    }

    #[test]
    fn nothing_is_lost_and_the_number_of_intervals_is_bounded() {
        for step in [0, 1, 1_000, 300_000, 7_000_000, 123 * SECOND, 1_000_000 * SECOND] {
            let timeline = filled((0..3_000).map(|number| number * step));
            assert!(timeline.intervals.len() as u64 <= MOST, "{step}");
            assert!(step < 1_000_000 || timeline.intervals.len() as u64 >= MOST / 5, "{step}");
            let sum = |of: fn(&Interval) -> f64| timeline.intervals.iter().map(of).sum::<f64>();
            assert_eq!((sum(|i| i.admitted), sum(|i| i.denied)), (4_000.0, 2_000.0), "{step}");
            assert_eq!(timeline.intervals[0].level, Some(500.0), "{step}");
        }
    }

    #[test]
    fn where_nobody_asks_the_level_is_the_refilled_one() {
        let timeline = filled([0, 5_500_000]);
        let levels: Vec<_> = timeline.intervals.iter().filter_map(|interval| interval.level).collect();
        assert_eq!(levels, [500.0, 1_001.0, 1_002.0, 1_003.0, 1_004.0, 501.0]);
    }
}
