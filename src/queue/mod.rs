//! The wait queue: threads and tasks, served first come, first served.
//!
//! **The word is handed over.** A caller that wants to wait moves the bucket's word from its cell
//! into the queue's state ([`QueueState`]), under the queue's lock. While there are waiters, each
//! call for tokens finds that the word is gone and comes to the queue. The call is refused unless
//! it precedes all waiters. So grants are decided one after the other, on a word that no other
//! thread can reach. A queue needs no reference to its limiter, which may be a `static`, or may
//! have been moved. When the last waiter is gone, the next call that has the limiter at hand hands
//! the word back: the waiter that was served last, or any later call. A queue that was closed keeps it.
//!
//! **The queue owns the timer**, and the timer's waker belongs to the queue. When the timer fires,
//! the queue grants every waiter that is due, wakes each of them once, and arms the timer for the
//! next one. No waiter has to be polled for another waiter to be served.
//!
//! The timers of a table's queues are slots of one timer ([`SharedTimer`]).
//!
//! The queue of a concurrency limit (`permits`) is made of the same wait list and dispatcher.
//!
//! **The dispatcher.** A dispatch is a pass over the queue that grants the due waiters and arms the
//! timer. Each event that needs a dispatch increments a counter: the timer fired, the first waiter
//! left, or tokens were given back. The thread that increments the counter from zero runs the
//! dispatch, and makes passes until the counter has not changed during a pass. So one dispatch runs
//! at a time, and no request is lost. The dispatching thread arms the timer without the queue's
//! lock, because a timer may call its waker from within `arm`. Wakers are woken, cloned and dropped
//! when no lock is held, because all three can run any code.
//!
//! [`internals::queue`](crate::internals::queue) proves that no waiter is overtaken and no request is lost.
//!
//! # Memory ordering
//!
//! The queue's lock orders all accesses to the state. The swap that hands the word over acquires
//! the release of the thread that wrote the word last. The store that hands the word back releases
//! the work that was done under the lock. So the work that a thread did before it gave tokens back
//! happens before the work of a thread that is granted those tokens, in the cell or in the queue.
//! The dispatcher's counter is acquired and released: a pass sees all that was done before the
//! request for it.
//!
//! [`SharedTimer`]: shared_timer::SharedTimer

mod config;
mod deadline;
mod dispatcher;
mod driver;
mod fifo;
mod park;
mod shared_timer;
mod state;
mod wait_config;
mod wait_list;

pub(crate) use crate::sync::{ignore_panic, in_drop};
pub(crate) use config::QueueConfig;
pub(crate) use deadline::Deadline;
pub(crate) use dispatcher::{Dispatch, Dispatcher, Pass, once_idle, run, wake};
pub(crate) use driver::{TimeDriver, TimerFactory};
pub(crate) use fifo::{Queue, QueueCell};
pub(crate) use park::Parker;
pub(crate) use state::{Enqueued, QueueState, WaitRequest, random_up_to};
pub(crate) use wait_config::WaitConfig;
pub(crate) use wait_list::{Id, Left, MOST_CLASSES, Outcome, Refusal, WaitList, Waiting, poll_entry};
