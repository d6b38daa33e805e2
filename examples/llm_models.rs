//! Calls to several models at once, each with limits of its own, and their numbers as a table:
//! `cargo run --example llm_models`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use brimful::model::{Dimension, ModelCause, ModelError, ModelLimiter, ModelQuota};

/// The calls in flight to the model that has a limit of them, and the most that there were.
#[derive(Default)]
struct Flight {
    now: AtomicU64,
    most: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let limiter = Arc::new(
        ModelLimiter::builder()
            .model("large", ModelQuota::new().rpm(60).input_tpm(30_000).output_tpm(8_000).max_parallel_requests(3))
            .model("small", ModelQuota::new().rpm(500).tpm(200_000))
            // For each model that is not listed.
            .default(ModelQuota::new().rpm(20).tpm(10_000))
            .build()?,
    );

    let flight = Arc::new(Flight::default());
    let mut calls = Vec::new();
    for number in 0..30 {
        for model in ["large", "small", "beta"] {
            let (limiter, flight) = (limiter.clone(), flight.clone());
            calls.push(tokio::spawn(async move {
                // The tokens of the prompt are known, and the answer usually has 200.
                let wait = limiter.acquire(model, (900, 200)).within(Duration::from_secs(2));
                let mut permit = wait.await?;
                if model == "large" {
                    flight.most.fetch_max(flight.now.fetch_add(1, SeqCst) + 1, SeqCst);
                }
                // The call: its answer is a stream, in five parts.
                for part in 1..=5 {
                    tokio::time::sleep(Duration::from_millis(4)).await;
                    permit.progress((900, part * 36)); // charges what goes beyond the estimate
                }
                if model == "large" {
                    flight.now.fetch_sub(1, SeqCst);
                }
                permit.commit((900, 180 + number % 20));
                Ok::<(), ModelError>(())
            }));
        }
    }

    tokio::time::sleep(Duration::from_millis(50)).await; // some have ended, and some wait
    println!("{}\n", limiter.stats());
    let (mut made, mut refused) = (0, Vec::new());
    for call in calls {
        match call.await? {
            Ok(()) => made += 1,
            Err(error) => refused.push(error),
        }
    }
    println!("{}\n", limiter.stats());
    println!("{made} calls were made, and {} refused, such as:\n{}", refused.len(), refused[0]);

    // A minute's tokens of `beta` are enough for 9 calls. The next one would be granted after some seconds, so it is
    // refused at once.
    assert!(refused.iter().all(|error| matches!(error.cause(), ModelCause::TooLate(Dimension::Tpm, _))));
    assert!(refused.iter().all(|error| error.model() == "beta"));
    assert_eq!((made, refused.len()), (69, 21));
    // Never more than three calls in flight, and all have ended.
    assert_eq!(flight.most.load(SeqCst), 3);
    let large = limiter.stats_of("large").ok_or("it is listed")?;
    assert_eq!((large.in_flight, large.waiting), (0, 0));
    assert!(large.waited > 0);
    Ok(())
}
