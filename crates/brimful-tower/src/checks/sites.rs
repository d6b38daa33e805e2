//! Counts the layers that are built at one place of the code.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::finding::{Check, Finding};

/// As many layers at one place, each with a limiter of its own, are no finding.
const LAYERS: u32 = 64;

/// As many limiters of a place are remembered, for a function that builds layers of several shared limiters.
const REMEMBERED: usize = 8;

type Place = (&'static str, u32, u32);

/// The layers of one place.
struct Layers {
    count: u32,
    /// The last limiters. That they are known keeps their addresses from being given to others.
    last: VecDeque<Weak<dyn Any + Send + Sync>>,
}

static PLACES: Mutex<Option<HashMap<Place, Layers>>> = Mutex::new(None);

/// Counts a layer with this limiter, unless one of the last layers of this place had the same one. The finding is returned
/// once for each place.
pub(crate) fn count_layers_at<L: Send + Sync + 'static>(
    place: &'static Location<'static>,
    limiter: &Arc<L>,
) -> Option<Finding> {
    let limiter: Weak<dyn Any + Send + Sync> = Arc::downgrade(limiter) as _;
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (place.file(), place.line(), place.column());
    let new = Layers { count: 0, last: VecDeque::new() };
    let layers = places.get_or_insert_default().entry(key).or_insert(new);
    if layers.count > LAYERS || layers.last.iter().any(|last| last.ptr_eq(&limiter)) {
        return None;
    }
    layers.count += 1;
    layers.last.truncate(REMEMBERED - 1);
    layers.last.push_front(limiter);
    let count = layers.count;
    if count > LAYERS {
        layers.last = VecDeque::new();
    }
    drop(places);
    (count > LAYERS).then(|| {
        let text = format!(
            "{count} layers were built at {place}, each with a limiter of its own: a layer that is built for each connection \
             or request limits nothing. Build it once, and clone it"
        );
        Finding::new(Check::StateNotShared, text)
    })
}
