//! `cargo xtask bench criterion`: the cost of a call for a known key, by one thread. The contenders
//! are those of the keyed bench, and the statistics are criterion's.

use std::time::Duration;

use brimful_benches::harness::pin;
use brimful_benches::keyed;
use criterion::{Criterion, criterion_group, criterion_main};

fn keyed(criterion: &mut Criterion) {
    pin(0);
    for keys in [1_000, 1_000_000] {
        let mut group = criterion.benchmark_group(format!("hit: u64, {keys} keys, in use"));
        for contender in &keyed::in_use(keys) {
            group.bench_function(&contender.name, |bencher| {
                bencher.iter_custom(|operations| Duration::from_nanos(contender.run(operations) as u64));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = keyed
}
criterion_main!(benches);
