//! Clocks, and the timers that wake waiters.

mod clock_trait;
#[cfg(feature = "std")]
mod coarse;
#[cfg(feature = "tokio")]
mod courier;
#[cfg(all(feature = "std", not(brimful_loom)))]
mod mock;
#[cfg(feature = "std")]
mod timer;
#[cfg(feature = "std")]
mod timer_queue;
#[cfg(feature = "std")]
mod timer_thread;
#[cfg(feature = "tokio")]
mod tokio_timer;
#[cfg(feature = "std")]
mod tsc;

pub use clock_trait::Clock;
#[cfg(feature = "std")]
pub use coarse::{CoarseClock, CoarseUpkeep};
#[cfg(all(feature = "std", not(brimful_loom)))]
pub use mock::MockClock;
#[cfg(feature = "std")]
pub use timer::Timer;
#[cfg(feature = "std")]
pub(crate) use timer_queue::{TimerQueue, TimerSlot};
#[cfg(feature = "std")]
pub(crate) use timer_thread::default_timer;
#[cfg(feature = "tokio")]
pub use tokio_timer::TokioTimer;
#[cfg(feature = "std")]
pub use tsc::{ClockHealth, ClockSource, QuantaClock, clock_health};
