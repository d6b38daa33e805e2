//! Finds lines whose time is out of line with the others, such as lines of a clock that was not
//! set.

use super::time::Stamp;

/// Two lines are in one group if at most this time is between them, or if other lines bridge a longer
/// gap.
const GAP: u64 = GAP_DAYS * 86_400 * 1_000_000_000;
pub(crate) const GAP_DAYS: u64 = 180;

/// A group of more lines than this is never out of line.
const FEW: u64 = 100;

/// Groups of lines by their time. A group of at most [`FEW`] lines is out of line if another
/// group has at least twice as many.
///
/// The answer does not depend on the order of the lines. Lines are held while the answer for their
/// group is open: all lines until one group has twice [`FEW`] lines, and later the lines of groups
/// that have few. So at most twice [`FEW`] lines of each group are held, and the years of a [`Stamp`]
/// have room for few groups only.
pub(crate) struct Groups<T> {
    /// In order of time.
    groups: Vec<Group>,
    held: Held<T>,
    /// Whether one group has twice [`FEW`] lines, so that groups with few are out of line.
    settled: bool,
}

/// Lines in the order in which they came.
type Held<T> = Vec<(Stamp, T)>;

#[derive(Clone, Copy)]
struct Group {
    first: Stamp,
    last: Stamp,
    lines: u64,
    /// Whether lines of this group are held.
    held: bool,
}

impl<T> Groups<T> {
    pub(crate) fn new() -> Self {
        Groups { groups: Vec::new(), held: Vec::new(), settled: false }
    }

    /// Counts a line. Returns whether it is in line and no line of its group is held before it;
    /// if not, it must be held.
    pub(crate) fn admits(&mut self, stamp: Stamp) -> bool {
        let at = self.groups.partition_point(|group| is_far(group.last, stamp));
        match self.groups.get_mut(at) {
            Some(group) if !is_far(stamp, group.first) => {
                group.first = group.first.min(stamp);
                group.last = group.last.max(stamp);
                group.lines += 1;
            }
            _ => self.groups.insert(at, Group { first: stamp, last: stamp, lines: 1, held: false }),
        }
        if self.groups.get(at + 1).is_some_and(|next| !is_far(self.groups[at].last, next.first)) {
            self.merge(at);
        }
        let Group { lines, held, .. } = self.groups[at];
        self.settled |= lines >= 2 * FEW;
        self.settled && lines > FEW && !held
    }

    /// Merges the group at `at` with the next.
    #[cold]
    fn merge(&mut self, at: usize) {
        let next = self.groups.remove(at + 1);
        let group = &mut self.groups[at];
        group.last = group.last.max(next.last);
        group.lines += next.lines;
        group.held |= next.held;
    }

    /// Holds a line that was counted. Returns the held lines that are now known to be in line.
    #[cold]
    pub(crate) fn hold(&mut self, stamp: Stamp, line: T) -> Vec<T> {
        self.held.push((stamp, line));
        let at = self.groups.partition_point(|group| group.last < stamp);
        self.groups[at].held = true;
        if !self.settled || self.groups[at].lines <= FEW {
            return Vec::new();
        }
        let (out, held) = self.split(|group| group.lines > FEW);
        self.held = held;
        for group in &mut self.groups {
            group.held &= group.lines <= FEW;
        }
        lines(out)
    }

    /// Returns the lines that are still held: those in line, and those out of line.
    pub(crate) fn finish(&mut self) -> (Vec<T>, Vec<T>) {
        let most = self.groups.iter().map(|group| group.lines).max().unwrap_or(0);
        let (in_line, out_of_line) = self.split(|group| group.lines > FEW || 2 * group.lines > most);
        (lines(in_line), lines(out_of_line))
    }

    /// Returns the held lines of the groups for which `are` is true, and the others.
    fn split(&mut self, are: impl Fn(&Group) -> bool) -> (Held<T>, Held<T>) {
        let groups = &self.groups;
        let held = std::mem::take(&mut self.held);
        held.into_iter().partition(|&(stamp, _)| are(&groups[groups.partition_point(|group| group.last < stamp)]))
    }
}

fn lines<T>(held: Held<T>) -> Vec<T> {
    held.into_iter().map(|(_, line)| line).collect()
}

/// Whether `later` is too long after `earlier` to be in one group.
fn is_far(earlier: Stamp, later: Stamp) -> bool {
    earlier < later && later.since(earlier) > GAP
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(days: i64) -> Stamp {
        Stamp::from_unix(days * DAY, 0).unwrap()
    }

    /// Returns the numbers of the lines in line, in the order in which they are returned, and of the
    /// others.
    fn told(days: &[i64]) -> (Vec<usize>, Vec<usize>) {
        let (mut groups, mut out) = (Groups::new(), Vec::new());
        for (number, &day) in days.iter().enumerate() {
            if groups.admits(at(day)) {
                out.push(number);
            } else {
                out.extend(groups.hold(at(day), number));
            }
            let bound = 2 * FEW as usize * groups.groups.len();
            assert!(groups.held.len() <= bound);
        }
        let (in_line, out_of_line) = groups.finish();
        out.extend(in_line);
        (out, out_of_line)
    }

    #[test]
    fn strange_times_are_told_wherever_they_stand() {
        let few = FEW as i64;
        for lines in [2, 3, 5, 20, 2 * few - 1, 2 * few, 2 * few + 1, 1_000] {
            for strange in 1..=few.min(lines / 2) {
                if strange > 3 && strange < few.min(lines / 2) - 1 {
                    continue;
                }
                for start in [0, 1, lines / 2, lines] {
                    for time in [-19_000, 50_000] {
                        let good = |from: i64, to: i64| (from..to).map(|line| line / 100);
                        let days: Vec<i64> =
                            good(0, start).chain((0..strange).map(|_| time)).chain(good(start, lines)).collect();
                        let (in_line, out_of_line) = told(&days);
                        let bad: Vec<usize> = (start as usize..(start + strange) as usize).collect();
                        assert_eq!(out_of_line, bad, "{lines} {strange} {start}");
                        let good: Vec<usize> = (0..days.len()).filter(|number| !bad.contains(number)).collect();
                        assert_eq!(in_line, good, "{lines} {strange} {start}");
                    }
                }
            }
        }
    }

    #[test]
    fn long_gaps_are_no_reason_and_short_logs_are_kept() {
        let gap = GAP_DAYS as i64;
        for days in [
            &[0, 10_000][..],
            &[0, 10_000, 20_000],
            &[0, gap, 2 * gap, 3 * gap],
            &[0, 0, 0, 10_000, 10_000],
            &[10_000, 0],
            &[],
        ] {
            let (in_line, out_of_line) = told(days);
            assert_eq!(in_line, (0..days.len()).collect::<Vec<_>>(), "{days:?}");
            assert_eq!(out_of_line, [0; 0]);
        }
        let days: Vec<i64> = [0; 1_000].into_iter().chain([1_000; 101]).chain([3_000; 101]).collect();
        assert_eq!(told(&days).1, [0; 0]);
        let days: Vec<i64> = (0..1_000).map(|line| 9_000 - 30 * (line % 3)).collect();
        assert_eq!(told(&days), ((0..1_000).collect(), Vec::new()));
    }

    #[test]
    fn a_line_between_two_groups_joins_them() {
        let gap = GAP_DAYS as i64;
        let days: Vec<i64> = [0; 500].into_iter().chain([2 * gap; 50]).chain([gap]).collect();
        let (in_line, out_of_line) = told(&days);
        assert_eq!((in_line.len(), out_of_line.len()), (551, 0));
    }
}
