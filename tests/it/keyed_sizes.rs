//! Every size gives a limiter of that size, or an error that names the size and a right one.

use brimful::{KeyedRateLimiter, KeyedRateLimiterBuilder, Quota};

use crate::support::Random;

/// The most keys that a limiter may have.
const MOST_KEYS: u64 = 1 << 31;

/// Larger tables are not built, because each one reserves its memory.
const MOST_BUILT: u64 = 1 << 28;

fn builder() -> KeyedRateLimiterBuilder<u64> {
    KeyedRateLimiter::builder().quota(Quota::per_minute(5))
}

/// Every power of two, and its neighbours.
fn powers() -> impl Iterator<Item = u64> {
    let powers = (0..64).map(|bits| 1u64 << bits).flat_map(|power| [power - 1, power, power + 1]);
    powers.chain([u64::MAX - 1, u64::MAX])
}

fn works(limiter: &KeyedRateLimiter<u64>) {
    assert!(limiter.allow(&1) && limiter.len() == 1);
    assert!(limiter.memory_usage() <= limiter.memory_limit(), "{limiter:?}");
}

/// The numbers in a text.
fn numbers(text: &str) -> Vec<u64> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn every_number_of_keys_is_built_or_named() {
    for keys in powers().filter(|&keys| keys <= MOST_BUILT / 46 || keys > MOST_KEYS) {
        match builder().max_keys(keys as usize).build() {
            Ok(limiter) => {
                assert!(keys > 0 && keys <= MOST_KEYS && limiter.max_keys() == keys as usize);
                works(&limiter);
            }
            Err(error) => {
                let text = error.to_string();
                assert!(keys == 0 || keys > MOST_KEYS, "{keys}: {text}");
                assert!(text.starts_with(&format!("max_keys is {keys}: ")), "{text}");
                assert!(keys == 0 || numbers(&text) == [keys, MOST_KEYS], "{text}");
            }
        }
    }
}

#[test]
fn every_number_of_bytes_is_built_or_named() {
    let error = |bytes| builder().max_bytes(bytes).build().unwrap_err().to_string();
    let [_, least] = numbers(&error(0))[..] else { panic!("{}", error(0)) };
    let [_, most] = numbers(&error((u64::MAX) as usize))[..] else { panic!("{}", error((u64::MAX) as usize)) };
    assert!(least > 0 && least < 1 << 20 && most > 16 * MOST_KEYS && most < 64 * MOST_KEYS, "{least}, {most}");
    let bounds = [least - 1, least, least + 1, most + 1];
    for bytes in powers().chain(bounds).filter(|&bytes| bytes <= MOST_BUILT || bytes > most) {
        match builder().max_bytes(bytes as usize).build() {
            Ok(limiter) => {
                assert!(
                    (least..=most).contains(&bytes) && limiter.memory_limit() <= bytes as usize,
                    "{bytes}: {limiter:?}"
                );
                works(&limiter);
            }
            Err(error) => {
                let text = error.to_string();
                let right = if bytes < least { least } else { most };
                assert!(!(least..=most).contains(&bytes), "{bytes}: {text}");
                assert!(text.starts_with(&format!("max_bytes is {bytes}: ")), "{text}");
                assert_eq!(numbers(&text), [bytes, right], "{text}");
            }
        }
    }
}

/// `max_bytes` gives as many keys as fit, and not one fewer.
#[test]
fn bytes_are_used_for_as_many_keys_as_they_hold() {
    let mut random = Random::new(10);
    let limit = |keys| builder().max_keys(keys).build().unwrap().memory_limit();
    for nth in 0..200 {
        let bytes = 4_096 + random.below(1 << (12 + nth % 14));
        let Ok(limiter) = builder().max_bytes(bytes as usize).build() else {
            assert!(limit(1) > bytes as usize);
            continue;
        };
        let keys = limiter.max_keys();
        assert_eq!(limiter.memory_limit(), limit(keys));
        assert!(limit(keys) <= bytes as usize && limit(keys + 1) > bytes as usize, "{bytes} bytes hold {keys} keys");
    }
    // More keys never take fewer bytes.
    assert!((1..5_000).all(|keys| limit(keys) <= limit(keys + 1)));
}

/// Calls for known keys complete a doubling that new keys began: a table at rest is a power of two.
#[test]
fn a_table_that_gets_no_new_keys_completes_its_doubling() {
    // Beside the slots, a few keys that found no slot.
    const FEW: usize = 2_000;
    let limiter = builder().build().unwrap();
    let (mut keys, mut before) = (0, limiter.memory_usage());
    for slots in [2_048, 4_096, 8_192] {
        // Until the first groups are divided.
        while limiter.memory_usage() < before + FEW {
            assert!(limiter.allow(&keys));
            keys += 1;
        }
        let after = before + slots / 2 * 16;
        assert!(limiter.memory_usage() < after - FEW, "{limiter:?}");
        for _ in 0..100 {
            (0..keys).for_each(|key| assert!(limiter.key(&key).balance() > 0.0));
        }
        assert!((after..after + FEW).contains(&limiter.memory_usage()), "{limiter:?}");
        before = after;
    }
}
