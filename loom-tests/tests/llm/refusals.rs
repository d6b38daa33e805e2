//! The server refuses calls.

use std::time::Duration;

use brimful::model::ModelQuota;
use brimful_loom_tests::LlmModel;

/// Two refusals at once count as one: the pause is that of the first in a row.
#[test]
fn two_refusals_at_once() {
    LlmModel::new(ModelQuota::new().tpm(2))
        .setup(|actor| actor.keep(actor.take(2)))
        .thread(|actor| actor.refused())
        .thread(|actor| actor.refused())
        .preemptions(3)
        .at_end(|actor, _| assert!(actor.pause().is_some_and(|pause| pause <= Duration::from_secs(1))))
        .explore(&["r|r"]);
}
