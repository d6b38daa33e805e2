//! The best fraction below another one.

/// Returns the largest fraction that is not above `n / d` and has a denominator of at most `most`, in lowest terms.
///
/// It follows the Stern–Brocot tree, many steps at a time: every fraction is between a lower neighbour, which is not
/// above `n / d`, and an upper one, which is. The lower one with the largest denominator that is permitted is the
/// largest fraction with such a denominator (Knuth, The Art of Computer Programming, 4.5.3).
pub(crate) fn below(n: u128, d: u128, most: u128) -> (u128, u128) {
    let common = gcd(n, d);
    let (n, d) = (n / common, d / common);
    if d <= most {
        return (n, d);
    }
    // lower ≤ n/d < upper; upper begins as 1/0.
    let (mut lower, mut upper) = ((n / d, 1), (1, 0));
    loop {
        // The most steps of `lower` towards `upper`: lower + k × upper stays at or below n/d.
        let gap = n * lower.1 - lower.0 * d;
        let over = upper.0 * d - n * upper.1;
        let steps = gap.checked_div(over).unwrap_or(0);
        let room = (most - lower.1).checked_div(upper.1).unwrap_or(steps);
        let k = steps.min(room);
        lower = (lower.0 + k * upper.0, lower.1 + k * upper.1);
        if k < steps {
            return lower;
        }
        // The most steps of `upper` towards `lower` that leave it above n/d.
        let gap = n * lower.1 - lower.0 * d;
        if gap == 0 {
            return lower;
        }
        let over = upper.0 * d - n * upper.1;
        let steps = (over - 1) / gap;
        let room = (most.saturating_sub(upper.1)) / lower.1;
        let j = steps.min(room);
        upper = (upper.0 + j * lower.0, upper.1 + j * lower.1);
        if upper.1 + lower.1 > most || (j == 0 && k == 0) {
            return lower;
        }
    }
}

pub(crate) fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by trying every denominator.
    fn slowly(n: u128, d: u128, most: u128) -> (u128, u128) {
        let mut best = (n / d, 1);
        for q in 1..=most {
            let p = n * q / d;
            if p * best.1 > best.0 * q {
                best = (p, q);
            }
        }
        best
    }

    #[test]
    fn every_small_fraction() {
        for d in 1..60 {
            for n in 0..140 {
                for most in 1..30 {
                    assert_eq!(below(n, d, most), slowly(n, d, most), "{n}/{d} up to {most}");
                }
            }
        }
    }

    #[test]
    fn large_fractions() {
        assert_eq!(below(1, 86_400_000_000, 1_000_000), (0, 1));
        for (n, d, most) in [(2_000_003, 86_400_000_000, 2_100_000), (16_777_213, 3_600_000_000, 500_000)] {
            assert_eq!(below(n, d, most), slowly(n, d, most));
        }
    }
}
