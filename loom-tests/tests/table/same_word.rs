//! A slot changes its tenant several times within one call, on a clock that stands still, and the
//! last tenant has the very word that was there.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Hand, Key, Model, T, key, quota};

/// The two fingerprints differ in one low bit only, so that one bucket's word, read as the other
/// key's, is a plausible bucket with tokens.
const F: Key = key(1, 0, 0);
const G: Key = key(1, 0, 1);
/// Its fingerprint differs in a high bit: its word, read as F's, is of a far later tick.
const FAR: Key = key(2, 0, 0);

const NOW: Hand = Hand::Calls(&[4 * T; 6]);

/// The next tenant has the same word, and only the mixture tells it from the first.
#[test]
fn same_word_of_another_key() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(F).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(F).take(1))
        .thread(NOW, |actor| {
            actor.on(F).remove();
            actor.on(FAR).take(1);
        })
        .preemptions(3)
        .explore(&["+|x+"]);
}

/// F, G, F: a word of G's is no reason to deny F.
#[test]
fn back_after_another_tenant() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(F).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(F).take(1))
        .thread(NOW, |actor| {
            actor.on(F).remove();
            actor.on(FAR).take(1);
            actor.on(FAR).remove();
            actor.on(F).take(1);
        })
        .preemptions(2)
        .explore(&["+|x+x+"]);
}

/// F, G, F, G: what F takes is not charged to G, which is back with the same word.
#[test]
fn both_back_with_the_same_word() {
    Model::table(quota(2), 3, Deny)
        .setup(|actor| assert!(actor.on(F).take_at(4 * T, 1)))
        .thread(NOW, |actor| _ = actor.on(F).take(1))
        .thread(NOW, |actor| {
            actor.on(F).remove();
            actor.on(G).take(1);
            actor.on(G).remove();
            actor.on(F).take(1);
            actor.on(F).remove();
            actor.on(G).take(1);
        })
        .preemptions(1)
        .explore(&["+|x+x+x+"]);
}
