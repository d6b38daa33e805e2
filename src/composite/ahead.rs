//! [`Ahead`]: the units that waiters take from each limit before a later caller is served.

use crate::word::Units;

use super::together::MOST_LIMITS;

/// The units of each limit.
pub(super) type Sums = [u128; MOST_LIMITS];

/// The sums of the costs of waiters, by class, the class that is served first at the front.
pub(super) struct Ahead(Vec<(Units, Sums)>);

impl Ahead {
    pub(super) const fn new() -> Self {
        Ahead(Vec::new())
    }

    pub(super) fn add(&mut self, class: Units, costs: &Sums) {
        let place = self.0.binary_search_by_key(&class, |&(class, _)| class).unwrap_or_else(|place| {
            self.0.insert(place, (class, [0; MOST_LIMITS]));
            place
        });
        self.0[place].1.iter_mut().zip(costs).for_each(|(sum, cost)| *sum += cost);
    }

    pub(super) fn remove(&mut self, class: Units, costs: &Sums) {
        let Ok(place) = self.0.binary_search_by_key(&class, |&(class, _)| class) else { return };
        self.0[place].1.iter_mut().zip(costs).for_each(|(sum, cost)| *sum -= cost);
        if self.0[place].1.iter().all(|&sum| sum == 0) {
            self.0.remove(place);
        }
    }

    /// Returns the units that waiters take before a caller of this class.
    pub(super) fn of(&self, class: Units) -> Sums {
        let mut sums = [0; MOST_LIMITS];
        for (_, costs) in self.0.iter().take_while(|&&(before, _)| before <= class) {
            sums.iter_mut().zip(costs).for_each(|(sum, cost)| *sum += cost);
        }
        sums
    }
}
