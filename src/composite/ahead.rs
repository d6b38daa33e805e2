//! [`Ahead`]: the units that waiters take from each limit before a later caller is served.

use crate::word::Units;

use super::together::MOST_LIMITS;

/// The units of each limit.
pub(super) type Sums = [u128; MOST_LIMITS];

/// No units of any limit.
pub(super) const NOTHING: Sums = [0; MOST_LIMITS];

pub(super) fn add(sums: &mut Sums, costs: &Sums) {
    sums.iter_mut().zip(costs).for_each(|(sum, cost)| *sum += cost);
}

fn subtract(sums: &mut Sums, costs: &Sums) {
    sums.iter_mut().zip(costs).for_each(|(sum, cost)| *sum -= cost);
}

/// The sums of the costs of waiters, by class, the class that is served first at the front.
pub(super) struct Ahead(Vec<(Units, Sums)>);

impl Ahead {
    pub(super) const fn new() -> Self {
        Ahead(Vec::new())
    }

    pub(super) fn add(&mut self, class: Units, costs: &Sums) {
        let place = self.0.binary_search_by_key(&class, |&(class, _)| class).unwrap_or_else(|place| {
            self.0.insert(place, (class, NOTHING));
            place
        });
        add(&mut self.0[place].1, costs);
    }

    pub(super) fn remove(&mut self, class: Units, costs: &Sums) {
        let Ok(place) = self.0.binary_search_by_key(&class, |&(class, _)| class) else { return };
        subtract(&mut self.0[place].1, costs);
        if self.0[place].1 == NOTHING {
            self.0.remove(place);
        }
    }

    /// Returns the units that waiters take before a caller of this class.
    pub(super) fn of(&self, class: Units) -> Sums {
        let mut sums = NOTHING;
        for (_, costs) in self.0.iter().take_while(|&&(before, _)| before <= class) {
            add(&mut sums, costs);
        }
        sums
    }

    /// Returns the units that waiters take before the last waiter of a class, which takes `costs`.
    pub(super) fn of_last(&self, class: Units, costs: &Sums) -> Sums {
        let mut sums = self.of(class);
        subtract(&mut sums, costs);
        sums
    }
}
