//! Everything that a thread did before it gave tokens back is visible to the thread that is
//! admitted with them.

use brimful_loom_tests::{Model, Readings, T, quota};
use loom::sync::atomic::Ordering::Relaxed;

const NOW: Readings = Readings::Script(&[&[4 * T, 4 * T], &[4 * T, 4 * T]]);

#[test]
fn given_back_happens_before_admitted() {
    Model::new(quota(1))
        .setup(|actor| assert!(actor.take_at(4 * T, 1)))
        .thread(NOW, |actor| {
            actor.mailbox.store(1, Relaxed);
            actor.add(1);
        })
        .thread(NOW, |actor| {
            if actor.take(1) {
                assert_eq!(actor.mailbox.load(Relaxed), 1);
            }
        })
        .explore(&["a1|+", "a1|-"]);
}
