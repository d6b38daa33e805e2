//! The promises, one module each.
use brimful::*;
use std::time::Duration;
#[test]
fn smoke() {
    let c = MockClock::new();
    let l = RateLimiter::with_clock(Quota::per_second(3).burst(3), c.clone());
    for s in 0..5u64 {
        c.set(s * 1_000_000_000);
        for _ in 0..3 {
            assert!(l.allow(), "{s} {l:?}");
        }
        assert!(!l.allow());
        let d = l.decide(1);
        println!("{d:?} {:?} {:?}", l.time_until(2), l);
    }
    let q = Quota::try_from_rate(0.7692307692307693, 1.0).unwrap();
    println!("{:?} {:?}", q.rate(), q.resolution());
    println!("{:?}", clock_health());
    static S: RateLimiter = RateLimiter::new(Quota::per_second(1).initial(0));
    assert!(!S.allow());
    println!("{} {}", std::mem::size_of::<RateLimiter>(), std::mem::size_of::<Quota>());
    for (q, k) in
        [(Quota::per_second(1).burst(1), 19), (Quota::per_second(1).burst(10), 23), (Quota::per_minute(1).burst(5), 27)]
    {
        println!("{q:?} {:?} {k}", q.resolution());
    }
    println!("{:?}", Quota::new(1, Duration::from_secs(10000 * 31557600)));
}
