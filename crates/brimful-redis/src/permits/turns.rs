//! [`Turns`]: the waiters of this process, in order of arrival.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The waiters of this process, by their keys.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Arc<str>, Waiters>>);

#[derive(Debug, Default)]
struct Waiters {
    number: usize,
    turn: Arc<Turn>,
}

/// The turn of one waiter of a key.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Held by the waiter that asks the store. The others wait for it, in order of arrival.
    pub(super) first: tokio::sync::Mutex<()>,
    /// Called when this process has released a permit of the key.
    pub(super) released: Notify,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Waiters>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a waiter.
    pub(super) fn join(&self, key: &Arc<str>) -> Joined<'_> {
        let mut keys = self.lock();
        let waiters = keys.entry(key.clone()).or_default();
        waiters.number += 1;
        Joined { turns: self, key: key.clone(), turn: waiters.turn.clone() }
    }

    /// Lets the first waiter of a key ask at once.
    pub(super) fn released(&self, key: &str) {
        if let Some(waiters) = self.lock().get(key) {
            waiters.turn.released.notify_one();
        }
    }

    /// Lets the first waiter of each key ask at once.
    pub(super) fn resized(&self) {
        self.lock().values().for_each(|waiters| waiters.turn.released.notify_one());
    }
}

/// A waiter among those of its key, until it is dropped.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    turns: &'a Turns,
    key: Arc<str>,
    pub(super) turn: Arc<Turn>,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut keys = self.turns.lock();
        if let Some(waiters) = keys.get_mut(&self.key) {
            waiters.number -= 1;
            if waiters.number == 0 {
                keys.remove(&self.key);
            }
        }
    }
}
