//! A model that is not listed is forgotten for another one while it is called.

use brimful::model::ModelQuota;
use brimful_loom_tests::{LlmActor, LlmModel};

/// No charge is forgotten: the models have all tokens of the calls that were admitted.
fn charged(actor: &LlmActor, outcomes: &[String]) {
    let admitted = outcomes.iter().filter(|outcome| *outcome == "+").count() as u64;
    assert_eq!(["a", "b"].iter().filter_map(|name| actor.used(name)).sum::<u64>(), admitted);
}

/// One model has a place. It is called before it would be forgotten, or it was forgotten and has no place any longer.
#[test]
fn called_by_its_name_while_another_needs_its_place() {
    LlmModel::new(ModelQuota::new().tpm(2))
        .setup(|actor| actor.make("a"))
        .thread(|actor| actor.call("a"))
        .thread(|actor| actor.call("b"))
        .at_end(charged)
        .explore(&["+|-", "-|+"]);
}
