//! The clocks. Only these tests run in real time. They print their measurements, and assert only
//! bounds that every machine meets.

use std::thread;
use std::time::{Duration, Instant};

use brimful::{Clock, ClockSource, MockClock, QuantaClock, clock_health};

#[test]
fn a_mock_clock_stands_until_it_is_moved() {
    let clock = MockClock::new();
    assert_eq!((clock.now(), clock.now()), (0, 0));
    clock.advance(Duration::from_micros(1));
    assert_eq!(clock.now(), 1_000);
    clock.advance(Duration::ZERO);
    assert_eq!(clock.now(), 1_000);
    clock.set(5);
    assert_eq!(clock.now(), 5, "backwards");
    clock.set(u64::MAX - 1);
    clock.advance(Duration::from_nanos(3));
    assert_eq!(clock.now(), u64::MAX, "it does not wrap");
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), u64::MAX);
    clock.set(0);
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), u64::MAX);
}

#[test]
fn clones_of_a_mock_clock_share_the_time() {
    let clock = MockClock::new();
    let other = clock.clone();
    other.advance(Duration::from_nanos(7));
    assert_eq!(clock.now(), 7);
    thread::spawn(move || other.set(3)).join().unwrap();
    assert_eq!(clock.now(), 3);
    assert_eq!(MockClock::default().now(), 0, "another clock does not share the time");
    // Advances from several threads add up.
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..100_000).for_each(|_| clock.advance(Duration::from_nanos(1))));
        }
    });
    assert_eq!(clock.now(), 300_003);
}

#[test]
fn the_default_clock_does_not_run_backwards_on_a_thread() {
    let clock = QuantaClock::new();
    let mut last = clock.now();
    // The origin is a second before the first use.
    assert!(last >= 1_000_000_000, "{last}");
    let (first, mut steps) = (last, 0u32);
    for _ in 0..1_000_000 {
        let now = clock.now();
        assert!(now >= last, "{now} after {last}");
        steps += u32::from(now > last);
        last = now;
    }
    println!("{:.1} ns a reading, {steps} of 1000000 later than the one before", (last - first) as f64 / 1e6);
    assert!(steps > 0);
    assert!(QuantaClock.now() >= last, "all handles share one origin");
}

#[test]
fn the_default_clock_keeps_the_time_of_the_system() {
    let health = clock_health();
    println!("{health}");
    assert!(health.rate_uncertainty < 1e-3, "{health:?}");
    let shown = health.to_string();
    let name = match health.source {
        ClockSource::Counter => "time-stamp counter",
        ClockSource::Os => "operating system",
        _ => unreachable!("there are two sources"),
    };
    assert!(shown.contains(name) && shown.contains(health.reason) && shown.contains("ppm"), "{shown}");

    let read = || {
        let before = Instant::now();
        (QuantaClock.now(), before)
    };
    let (ours, theirs) = read();
    thread::sleep(Duration::from_millis(1_200));
    let (ours_later, theirs_later) = read();
    let (ours, theirs) = ((ours_later - ours) as f64, (theirs_later - theirs).as_nanos() as f64);
    println!("{:+.2} ppm in {:.2} s", (ours / theirs - 1.0) * 1e6, theirs / 1e9);
    // The bound is hundreds of times looser than the clock, because an interrupted reading is not a
    // fault of the clock.
    assert!((ours / theirs - 1.0).abs() < 1e-3);

    let health = clock_health();
    let drift = health.drift.expect("more than a second has passed");
    println!("drift {:+.2} ppm since the calibration", drift * 1e6);
    assert!(drift.abs() < 1e-3, "{health:?}");
    assert!(health.source == ClockSource::Counter || drift == 0.0);
}

/// Runs in its own process, because the calibration belongs to the process. In the first second
/// nothing is known about the drift.
#[test]
fn in_the_first_second_the_drift_is_not_known() {
    const CHILD: &str = "BRIMFUL_FIRST_SECOND";
    if std::env::var_os(CHILD).is_some() {
        let health = clock_health();
        assert!(health.drift.is_none() || health.source == ClockSource::Os, "{health:?}");
        return;
    }
    let this = "clocks::in_the_first_second_the_drift_is_not_known";
    let program = std::env::current_exe().unwrap();
    let child = std::process::Command::new(program).args(["--exact", this]).env(CHILD, "1").output().unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

#[test]
fn the_cores_can_be_compared() {
    let (start, duration) = (Instant::now(), Duration::from_millis(10));
    let apart = clock_health().compare_cores(duration);
    assert!(start.elapsed() >= duration);
    println!("cores disagree by up to {apart} ns");
    // A disagreement costs accuracy, but never the bound. So the test does not fail on it.
}
