//! `cargo xtask bench criterion`: the cost of one decision by one thread, in each state of a
//! limiter. The contenders are those of the contention bench, and the statistics are criterion's.

use std::time::Duration;

use brimful_benches::contention;
use brimful_benches::harness::pin;
use criterion::{Criterion, criterion_group, criterion_main};

fn single(criterion: &mut Criterion) {
    pin(0);
    for scenario in contention::scenarios() {
        let mut group = criterion.benchmark_group(scenario.name);
        for contender in &scenario.contenders {
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
    targets = single
}
criterion_main!(benches);
