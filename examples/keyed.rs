//! A limit for each client, in bounded memory: `cargo run --example keyed`.

use std::net::IpAddr;
use std::sync::Once;

use brimful::{Decision, FullEvent, KeyedRateLimiter, OnFull, Quota};

/// Returns the answer of a server. Seconds are rounded up, so that a client is never sent 0.
fn response(decision: Decision) -> String {
    if decision.allowed() {
        return format!("200, {} of {} left", decision.remaining(), decision.limit());
    }
    match decision.retry_after() {
        Some(wait) => format!("429, retry after {} s", wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
        None => "429, and no wait helps".into(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clients = KeyedRateLimiter::<IpAddr>::builder()
        .quota(Quota::per_minute(30).burst(3))
        .max_keys(10_000)
        .on_full(OnFull::EvictLeastDebt)
        .on_full_hook(|event| {
            static WARNED: Once = Once::new();
            if event == FullEvent::Refused {
                WARNED.call_once(|| eprintln!("new clients are refused: raise max_keys"));
            }
        })
        .build()?;

    let (alice, bob): (IpAddr, IpAddr) = ("192.0.2.1".parse()?, "2001:db8::2".parse()?);
    for _ in 0..4 {
        println!("{alice}: {}", response(clients.decide(&alice, 1)));
    }
    // Each client has its own bucket, and a look does not make a client known.
    println!("{bob}: {}", response(clients.decide(&bob, 0)));
    assert_eq!(clients.len(), 1);

    // A flood of new clients. A client that has used up its quota stays exhausted.
    for n in 0..100_000u32 {
        let _ = clients.allow(&IpAddr::from(n.to_be_bytes()));
    }
    assert!(!clients.allow(&alice));
    println!(
        "{} clients in {} of at most {} bytes, {} forgotten for others, {} refused",
        clients.len(),
        clients.memory_usage(),
        clients.memory_limit(),
        clients.evictions(),
        clients.refusals()
    );
    Ok(())
}
