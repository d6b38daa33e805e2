//! The oracle for windows of one length: the most that was granted in any of them.

/// Returns the most that was granted to readings in any window [a, a + `length_ns`), of grants in any
/// order as `(reading_ns, cost)`. Sorts the grants by reading. No cost may be negative.
///
/// A window that does not begin at a grant can be moved later until it does, and loses none.
///
/// # Panics
///
/// If a cost is negative, or a sum of costs does not fit in 128 bits.
pub fn most_within<C: Copy + Into<i128>>(length_ns: u64, grants: &mut [(u64, C)]) -> i128 {
    grants.sort_unstable_by_key(|&(reading, _)| reading);
    let (mut sum, mut most, mut end) = (0i128, 0i128, 0);
    for (begin, &(start, first)) in grants.iter().enumerate() {
        while end < grants.len() && (end <= begin || grants[end].0 - start < length_ns) {
            let cost = grants[end].1.into();
            assert!(cost >= 0, "a grant of {cost}");
            sum = sum.checked_add(cost).expect("the sum of the costs does not fit in 128 bits");
            end += 1;
        }
        // A window of no length has no reading.
        most = most.max(if length_ns == 0 { 0 } else { sum });
        sum -= first.into();
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The windows that begin at each grant, each summed separately.
    fn brute(length: u64, grants: &[(u64, i64)]) -> i128 {
        let sum = |start: u64| {
            let inside = grants.iter().filter(|(at, _)| (start..start + length).contains(at));
            inside.map(|&(_, cost)| i128::from(cost)).sum()
        };
        grants.iter().map(|&(start, _)| sum(start)).max().unwrap_or(0)
    }

    #[test]
    fn a_window_has_its_first_instant_and_not_its_last() {
        let mut grants = [(10, 1i64), (0, 2), (9, 4), (20, 8)];
        for (length, most) in [(0, 0), (1, 8), (2, 8), (10, 8), (11, 9), (12, 13), (20, 13), (21, 15), (u64::MAX, 15)] {
            assert_eq!(most_within(length, &mut grants), most, "{length}");
        }
        assert_eq!(most_within::<i64>(5, &mut []), 0);
        assert_eq!(most_within(1, &mut [(u64::MAX, 3i64), (u64::MAX, 4)]), 7);
    }

    #[test]
    fn it_finds_what_each_window_by_itself_shows() {
        let mut state = 7u64;
        let mut below = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        for _ in 0..2_000 {
            let mut grants: Vec<(u64, i64)> = (0..below(12)).map(|_| (below(30), below(5) as i64)).collect();
            let length = below(35);
            assert_eq!(most_within(length, &mut grants), brute(length, &grants), "{length}: {grants:?}");
        }
    }
}
