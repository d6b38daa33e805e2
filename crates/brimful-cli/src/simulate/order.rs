//! Puts lines in order of their time, with a bounded number of lines in memory.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::time::Stamp;

/// A buffer that returns its earliest item when it has too many. Items of one instant keep the order
/// in which they came.
///
/// Items are in a queue. An item that is nearly in order is inserted near the end of the queue, and an
/// item that is far from its place goes to a heap.
pub(crate) struct Reorder<T> {
    queue: VecDeque<Held<T>>,
    stragglers: BinaryHeap<Reverse<Held<T>>>,
    most: usize,
    came: u64,
    /// The time of the last item that was returned.
    reached: Option<Stamp>,
}

/// Moving so many items in the queue takes about as long as one item in the heap.
const NEAR: usize = 128;

struct Held<T> {
    stamp: Stamp,
    came: u64,
    item: T,
}

impl<T> Reorder<T> {
    /// Holds at most `most` items.
    pub(crate) fn new(most: usize) -> Self {
        Reorder { queue: VecDeque::new(), stragglers: BinaryHeap::new(), most, came: 0, reached: None }
    }

    /// Returns the instant that has been reached if `stamp` is earlier, and so too late to be put in
    /// order.
    pub(crate) fn missed(&self, stamp: Stamp) -> Option<Stamp> {
        self.reached.filter(|&reached| stamp < reached)
    }

    /// Takes in an item, and returns the earliest one if there are too many. An item that is too late
    /// is returned at once, at the instant that has been reached.
    pub(crate) fn push(&mut self, stamp: Stamp, item: T) -> Option<(Stamp, T)> {
        if let Some(reached) = self.missed(stamp) {
            return Some((reached, item));
        }
        let held = Held { stamp, came: self.came, item };
        self.came += 1;
        match self.queue.back() {
            Some(last) if stamp < last.stamp => {
                let place = self.queue.partition_point(|earlier| earlier.stamp <= stamp);
                if self.queue.len() - place <= NEAR {
                    self.queue.insert(place, held);
                } else {
                    self.stragglers.push(Reverse(held));
                }
            }
            _ => self.queue.push_back(held),
        }
        (self.queue.len() + self.stragglers.len() > self.most).then(|| self.pop()).flatten()
    }

    /// Returns the earliest item.
    pub(crate) fn pop(&mut self) -> Option<(Stamp, T)> {
        let straggler = match (self.queue.front(), self.stragglers.peek()) {
            (Some(first), Some(Reverse(straggler))) => straggler < first,
            (first, _) => first.is_none(),
        };
        let held = if straggler { self.stragglers.pop()?.0 } else { self.queue.pop_front()? };
        self.reached = Some(held.stamp);
        Some((held.stamp, held.item))
    }
}

impl<T> Held<T> {
    fn place(&self) -> (Stamp, u64) {
        (self.stamp, self.came)
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<T> Eq for Held<T> {}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Stamp {
        Stamp::from_unix(seconds, 0).unwrap()
    }

    /// Returns the items in the order in which they are returned, and the number of late ones.
    fn through(most: usize, times: &[i64]) -> (Vec<(Stamp, usize)>, usize) {
        let (mut order, mut out, mut late) = (Reorder::new(most), Vec::new(), 0);
        for (number, &seconds) in times.iter().enumerate() {
            late += usize::from(order.missed(at(seconds)).is_some());
            out.extend(order.push(at(seconds), number));
            assert!(order.queue.len() + order.stragglers.len() <= most);
        }
        out.extend(std::iter::from_fn(|| order.pop()));
        (out, late)
    }

    #[test]
    fn within_its_reach_it_sorts_and_keeps_ties() {
        let mut times: Vec<i64> = (0..5_000).collect();
        // No line stands more than 8 away from its place, and there are ties.
        for chunk in times.chunks_mut(8) {
            chunk.reverse();
            chunk.iter_mut().for_each(|time| *time /= 3);
        }
        let (out, late) = through(8, &times);
        let mut expected: Vec<(Stamp, usize)> = times.iter().map(|&time| at(time)).zip(0..).collect();
        expected.sort();
        assert_eq!((out, late), (expected, 0));
    }

    #[test]
    fn what_is_far_from_its_place_is_put_in_order_too() {
        // Two logs, one a thousand lines behind the other, and every tenth line anywhere.
        let times: Vec<i64> = (0..4_000)
            .map(|line| match line % 10 {
                0 => line * 7_919 % 4_000,
                odd if odd % 2 == 1 => line,
                _ => line - 1_000,
            })
            .collect();
        let (out, late) = through(4_000, &times);
        let mut expected: Vec<(Stamp, usize)> = times.iter().map(|&time| at(time)).zip(0..).collect();
        expected.sort();
        assert_eq!((out, late), (expected, 0));
    }

    #[test]
    fn beyond_it_the_latest_instant_counts() {
        let (out, late) = through(1, &[10, 20, 30, 5, 40]);
        let expected = [(10, 0), (20, 1), (20, 3), (30, 2), (40, 4)];
        assert_eq!((out, late), (expected.map(|(time, number)| (at(time), number)).to_vec(), 1));
        let (out, late) = through(0, &[10, 9, 9, 11]);
        let expected = [(10, 0), (10, 1), (10, 2), (11, 3)];
        assert_eq!((out, late), (expected.map(|(time, number)| (at(time), number)).to_vec(), 2));
    }
}
