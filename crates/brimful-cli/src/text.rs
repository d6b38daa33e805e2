//! Numbers for people.

use indicatif::{HumanCount, HumanFloatCount};

/// Writes `1234567` as `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// Writes an amount of tokens with at most six decimals. An amount that is not zero is never
/// written as zero.
pub(crate) fn amount(tokens: f64) -> String {
    if tokens != 0.0 && tokens.abs() < 5e-7 {
        format!("{tokens:.1e}")
    } else {
        format!("{:.6}", HumanFloatCount(tokens))
    }
}

/// Writes an amount in 10⁻¹² token, exactly.
pub(crate) fn tokens(pico: u128) -> String {
    let (whole, part) = (pico / PICO, pico % PICO);
    let whole = u64::try_from(whole).map_or_else(|_| whole.to_string(), count);
    if part == 0 { whole } else { format!("{whole}.{}", format!("{part:012}").trim_end_matches('0')) }
}

const PICO: u128 = brimful_oracle::bucket::PICO as u128;

/// Writes a rate per second.
pub(crate) fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.2} million/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.2} thousand/s", rate / 1e3),
        rate => format!("{rate:.2}/s"),
    }
}

/// Writes a time in the largest unit that is not longer than the time.
pub(crate) fn nanos(ns: f64) -> String {
    match ns {
        ns if ns >= 1e9 => format!("{} s", amount(ns / 1e9)),
        ns if ns >= 1e6 => format!("{} ms", amount(ns / 1e6)),
        ns if ns >= 1e3 => format!("{} µs", amount(ns / 1e3)),
        ns => format!("{} ns", amount(ns)),
    }
}

/// Writes a time such as `1 day 2 h 30 s`. From a minute on it is rounded to the second.
pub(crate) fn span(ns: f64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "h"), (60, "min"), (1, "s")];
    if ns < 60e9 {
        return nanos(ns);
    }
    let mut seconds = (ns / 1e9).round() as u64;
    let mut parts = Vec::new();
    for (length, name) in UNITS {
        let number = seconds / length;
        seconds %= length;
        if number > 0 {
            let plural = if name == "day" && number > 1 { "s" } else { "" };
            parts.push(format!("{} {name}{plural}", count(number)));
        }
    }
    parts.join(" ")
}

/// Writes a part of a whole in percent. Decimals are cut off, so that only the whole is 100 %.
pub(crate) fn percent(part: impl Into<u128>, of: impl Into<u128>) -> String {
    let of = of.into();
    if of == 0 {
        return "-".to_owned();
    }
    let basis = part.into() * 10_000 / of;
    format!("{}.{:02} %", basis / 100, basis % 100)
}

/// Returns at most `most` of the bytes of a log, with control characters escaped for a terminal.
pub(crate) fn excerpt(bytes: &[u8], most: usize) -> String {
    let shown = bytes[..bytes.len().min(most)].escape_ascii();
    if bytes.len() > most { format!("{shown}…") } else { shown.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (n, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), expected);
        }
    }

    #[test]
    fn amounts_keep_what_matters() {
        for (tokens, expected) in
            [(0.0, "0"), (5.0, "5"), (-1.5, "-1.5"), (12_345.25, "12,345.25"), (1e-9, "1.0e-9"), (0.1, "0.1")]
        {
            assert_eq!(amount(tokens), expected);
        }
    }

    #[test]
    fn only_all_of_it_is_a_hundred_percent() {
        assert_eq!(percent(99_999u64, 100_000u64), "99.99 %");
        assert_eq!(percent(7u64, 7u64), "100.00 %");
        assert_eq!(percent(0u64, 0u64), "-");
    }

    #[test]
    fn tokens_are_exact() {
        for (pico, expected) in [
            (0, "0"),
            (1, "0.000000000001"),
            (1_234_500_000_000_000, "1,234.5"),
            (u128::MAX, "340282366920938463463374607.431768211455"),
        ] {
            assert_eq!(tokens(pico), expected);
        }
    }

    #[test]
    fn spans_are_told_in_the_units_of_clocks() {
        for (ns, expected) in [
            (0.0, "0 ns"),
            (1_500.0, "1.5 µs"),
            (2e9, "2 s"),
            (59.999e9, "59.999 s"),
            (60e9, "1 min"),
            (90.4e9, "1 min 30 s"),
            (86_400e9, "1 day"),
            (176_401e9, "2 days 1 h 1 s"),
            (1e27, "11,574,074,074,074 days 1 h 46 min 40 s"),
        ] {
            assert_eq!(span(ns), expected);
        }
    }

    #[test]
    fn excerpts_hide_control_characters() {
        assert_eq!(excerpt(b"a\x1b[31m", 3), "a\\x1b[…");
    }
}
