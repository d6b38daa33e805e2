//! Memory: what a process grows by for each key that is live.

use std::io;

use super::contenders::{Job, Keyed, with};
use super::keys::{Key, Numbers};
use super::{most_keys, plot};
use crate::bench::Scale;
use crate::child;
use crate::harness::pin;
use crate::report::{Bar, Report, count};
use crate::resident::anonymous;

/// What was added for so many keys, in bytes, and how many of them were refused.
pub(super) fn measure(name: &str, kind: &str, n: u64) -> Option<Vec<f64>> {
    struct Fill(u64);

    impl<K: Key> Job<K> for Fill {
        type Answer = Option<Vec<f64>>;

        fn run<L: Keyed<K>>(self, make: impl FnOnce() -> L) -> Self::Answer {
            // Twice: what the first reading allocates is there by the second.
            let before = anonymous().and_then(|_| anonymous())?;
            let limiter = make();
            let mut numbers = Numbers::new(3);
            let refused = (0..self.0).filter(|_| !limiter.hit(&K::of(numbers.next()))).count();
            Some(vec![anonymous()? - before, refused as f64])
        }
    }

    pin(0);
    if kind == String::KIND {
        with::<String, _>(name, MAX_KEYS, Fill(n))?
    } else {
        with::<u64, _>(name, MAX_KEYS, Fill(n))?
    }
}

/// What a limiter is made for that could hold more than it does.
const MAX_KEYS: u64 = 20_000_000;

const MEASURED: [(&str, &str); 5] = [
    ("brimful", u64::KIND),
    ("brimful", String::KIND),
    ("governor", u64::KIND),
    ("governor", String::KIND),
    ("rate-net (ahash)", u64::KIND),
];

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const SCENARIO: &str = "memory: resident bytes per key";
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    if anonymous().is_none() {
        println!("\n{SCENARIO}: not measured, because there is no /proc here");
        return Ok(());
    }
    println!("\n{SCENARIO}\n  {:<10} {}", "keys", MEASURED.map(|(name, kind)| heading(name, kind)).join(" "));
    let mantissas = [10, 15, 20, 30, 50, 70];
    let counts: Vec<u64> = (4..=6)
        .flat_map(|power| mantissas.map(|mantissa| mantissa * 10u64.pow(power)))
        .filter(|&keys| keys <= most_keys(scale))
        .collect();
    let mut worst = [0.0f64; MEASURED.len()];
    for &keys in &counts {
        let mut line = format!("  {:<10}", count(keys));
        for ((name, kind), worst) in MEASURED.into_iter().zip(&mut worst) {
            let numbers = child::ask(&["memory", name, kind, &keys.to_string()])?;
            let [bytes, refused] = numbers[..] else { return Err(io::Error::other("no figures of memory")) };
            if refused > 0.0 {
                println!("  {name} refused {refused} of {keys} keys");
            }
            let each = bytes / keys as f64;
            *worst = worst.max(each);
            report.add(SCENARIO, &format!("{name}, {kind}"), &format!("bytes at {keys}"), each);
            line += &format!(" {each:>width$.1}", width = heading(name, kind).chars().count());
        }
        println!("{line}");
    }
    let text: Vec<_> = MEASURED
        .iter()
        .zip(worst)
        .map(|(&(name, kind), worst)| format!("{worst:>width$.1}", width = heading(name, kind).chars().count()))
        .collect();
    println!("  {:<10} {}", "worst", text.join(" "));
    for ((name, kind), worst) in MEASURED.into_iter().zip(worst).filter(|((name, _), _)| *name == "brimful") {
        let what = format!("{SCENARIO}, worst of {} to {}: {name}, {kind}", count(counts[0]), count(most_keys(scale)));
        report.bar(&what, Bar::AtMost(32.0), Some(worst));
    }
    match &scale.svg {
        Some(folder) => {
            let names = MEASURED.map(|(name, kind)| format!("{name}, {kind}"));
            plot::memory(folder, SCENARIO, &names, &counts, report)
        }
        None => Ok(()),
    }
}

fn heading(name: &str, kind: &str) -> String {
    format!("{:>15}", format!("{name}, {kind}"))
}
