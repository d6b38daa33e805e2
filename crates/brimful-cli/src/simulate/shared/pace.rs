//! [`Pace`]: the log's time and the server's.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use brimful::{Quota, Quotas};

use crate::simulate::time::Stamp;
use crate::text;

/// The longest replay.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The shortest time in which a bucket may refill. A call reaches the server some tenths of a millisecond late, or more, so
/// the decisions on a faster bucket say nothing about the log.
const REFILL: Duration = Duration::from_millis(1);

/// The number of times that the log passes faster than the server's clock, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace(u64);

impl Pace {
    /// Reads `--speed`.
    pub(super) fn new(speed: f64) -> Result<Pace> {
        let thousandths = (speed * 1_000.0).round();
        if !(1.0..=1e12).contains(&thousandths) || (thousandths / 1_000.0 - speed).abs() > 1e-9 * speed {
            bail!("--speed {speed}: choose a number from 0.001 to 10^9 with three decimals at most");
        }
        Ok(Pace(thousandths as u64))
    }

    /// Returns the number of times.
    pub(super) fn times(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// Returns the time on the server's clock of nanoseconds of the log.
    pub(super) fn real(self, nanos: u64) -> Duration {
        let nanos = u128::from(nanos) * 1_000 / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns the nanoseconds of the log of a time on the server's clock, which counts microseconds.
    pub(super) fn of_log(self, real: Duration) -> u64 {
        let nanos = real.as_micros() * u128::from(self.0);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// Returns the quotas that are as much faster as the log, with the same bursts.
    pub(super) fn quotas(self, quotas: &Quotas) -> Result<Quotas> {
        let speed = self.times();
        let faster = |(name, quota): (_, Quota)| {
            let (tokens, period) = quota.rate();
            let faster = || {
                let tokens = tokens.checked_mul(self.0).context("the rate is too high")?;
                let period = period.checked_mul(1_000).context("the rate is too low")?;
                Ok::<_, anyhow::Error>(Quota::try_new(tokens, period)?.try_burst(quota.capacity())?)
            };
            let faster =
                faster().with_context(|| format!("--speed {speed}: {quota} cannot be so many times as fast"))?;
            let refill = quota.capacity().as_f64() / faster.tokens_per_second();
            if refill < REFILL.as_secs_f64() {
                let most = (speed * refill / REFILL.as_secs_f64() * 1_000.0).floor() / 1_000.0;
                bail!(
                    "--speed {speed}: a bucket of {quota} would refill in {}, and a call takes as long to the server: \
                     choose --speed {most} or less",
                    text::span(refill * 1e9)
                );
            }
            Ok((name, faster))
        };
        let faster = quotas.iter().map(faster).collect::<Result<Vec<_>>>()?;
        match &faster[..] {
            [(_, quota)] => Ok((*quota).into()),
            _ => {
                // The name of a quota without one is its text, which is no name for another quota.
                let is_name =
                    |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
                let are_named = faster.iter().all(|(name, _)| is_name(name));
                let all = faster.iter().map(|&(_, quota)| quota);
                Ok(if are_named { Quotas::named(faster.iter().copied())? } else { Quotas::new(all)? })
            }
        }
    }

    /// Refuses a replay that takes too long.
    pub(super) fn check(self, (first, last): (Stamp, Stamp)) -> Result<()> {
        let real = self.real(last.since(first));
        if real > LONGEST {
            let least = (last.since(first) as f64 / LONGEST.as_nanos() as f64).ceil();
            bail!(
                "--speed {}: the replay would take {}: --speed {least} ends it within an hour",
                self.times(),
                text::span(real.as_nanos() as f64)
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn quotas(text: &str, speed: f64) -> Result<String, String> {
        let quotas = Pace::new(speed).unwrap().quotas(&text.parse().unwrap());
        quotas.map(|quotas| quotas.to_string()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_quota_is_exactly_as_much_faster_as_the_log() {
        for (text, speed, faster) in [
            ("1/min burst 5", 60.0, "1/s burst 5"),
            ("7/h burst 3", 0.5, "3.5/h burst 3"),
            ("1/s burst 2.5", 2.5, "2.5/s burst 2.5"),
            ("burst: 1/s burst 5; hourly: 20/h", 3_600.0, "burst: 3600/s burst 5; hourly: 20/s burst 20"),
        ] {
            let expected: Quotas = faster.parse().unwrap();
            let faster = Pace::new(speed).unwrap().quotas(&text.parse().unwrap()).unwrap();
            assert_eq!(faster, expected, "{text} at {speed}");
        }
        let pace = Pace::new(2.5).unwrap();
        assert_eq!(pace.real(5 * SECOND), Duration::from_secs(2));
        assert_eq!(pace.of_log(Duration::from_secs(2)), 5 * SECOND);
        assert_eq!(pace.of_log(Duration::from_micros(1)), 2_500);
    }

    #[test]
    fn a_speed_without_meaning_is_refused_with_a_better_one() {
        for speed in [0.000_4, 1.000_1, 1e10] {
            assert!(Pace::new(speed).is_err(), "{speed}");
        }
        // Empty to full in 2 s of the log: a millisecond at 2000.
        assert!(quotas("100/s burst 200", 2_000.0).is_ok());
        let error = quotas("100/s burst 200", 2_001.0).unwrap_err();
        assert!(error.contains("choose --speed 2000 or less"), "{error}");
        let error = quotas("1000000/s burst 1000000", 100_000.0).unwrap_err();
        assert!(error.contains("cannot be so many times as fast"), "{error}");
        let stamps = (Stamp::from_unix(0, 0).unwrap(), Stamp::from_unix(360_000, 0).unwrap());
        Pace::new(100.0).unwrap().check(stamps).unwrap();
        let error = Pace::new(99.0).unwrap().check(stamps).unwrap_err().to_string();
        assert!(error.contains("--speed 100 ends it within an hour"), "{error}");
    }
}
