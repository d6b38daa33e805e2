//! A slot changes its tenant several times within one call, while the clock stands still, and the
//! last tenant has the same word as the first.

use brimful::OnFull::Deny;
use brimful_loom_tests::{Key, Model, Readings, T, key, quota};

/// The two fingerprints differ in one low bit only. So the word of one bucket, read as the other
/// key's, is a plausible bucket with tokens.
const F: Key = key(1, 0, 0);
const G: Key = key(1, 0, 1);
/// The fingerprint differs in a high bit. So its word, read as F's, has a far later tick.
const FAR: Key = key(2, 0, 0);

const NOW: Readings = Readings::Calls(&[4 * T; 6]);

/// The next tenant has the same word. Only the mixing with the fingerprint distinguishes it from
/// the first tenant.
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

/// F, G, F, G: the tokens that F takes are not charged to G, which is back with the same word.
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
