//! Functions that wait for a token before each call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::acquire::Acquire;
use crate::clock::{Clock, QuantaClock};
use crate::error::AcquireError;
use crate::limiter::state::RateLimiter;

impl<C: Clock + Clone + Send + Sync + 'static> RateLimiter<C> {
    /// Returns a function that waits for a token and then calls `f`.
    ///
    /// # Errors
    ///
    /// A call of the returned function fails as [`acquire`](RateLimiter::acquire) does; `f` is not
    /// called then.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped while it waits takes nothing. After `f` was called, the token is spent.
    ///
    /// # Spawned tasks
    ///
    /// The returned function borrows the limiter, so its calls can be spawned if the limiter is a `static`.
    /// With a limiter in an [`Arc`], wait by [`acquire_n_owned`](RateLimiter::acquire_n_owned) and then
    /// call the function:
    ///
    /// ```
    /// use brimful::{AcquireError, Quota, RateLimiter};
    /// use std::sync::Arc;
    ///
    /// async fn fetch(url: String) -> usize {
    ///     url.len()
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let limiter = Arc::new(RateLimiter::new(Quota::per_second(100).burst(10)));
    /// let limited_fetch = move |url: String| {
    ///     let token = limiter.acquire_n_owned(1);
    ///     async move {
    ///         token.await?;
    ///         Ok::<_, AcquireError>(fetch(url).await)
    ///     }
    /// };
    /// let task = tokio::spawn(limited_fetch("example.org".to_owned()));
    /// assert_eq!(task.await.unwrap()?, 11);
    /// # static API: RateLimiter = RateLimiter::new(Quota::per_second(100).burst(10));
    /// # let task = tokio::spawn(API.wrap(fetch)("example.org".to_owned()));
    /// # assert_eq!(task.await.unwrap()?, 11);
    /// # Ok::<(), AcquireError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{Quota, RateLimiter};
    ///
    /// static API: RateLimiter = RateLimiter::new(Quota::per_second(100).burst(10));
    ///
    /// # async_io::block_on(async {
    /// let square = API.wrap(|n: u64| async move { n * n });
    /// assert_eq!(square(7).await?, 49);
    /// # Ok::<(), brimful::AcquireError>(())
    /// # }).unwrap();
    /// ```
    pub fn wrap<'a, A, F, R>(&'a self, f: F) -> impl Fn(A) -> WrapFuture<'a, A, F, R, C>
    where
        F: Fn(A) -> R,
        R: Future,
    {
        let f = Arc::new(f);
        move |argument| WrapFuture { acquire: self.acquire(), call: Some((f.clone(), argument)), running: None }
    }

    /// As [`wrap`](RateLimiter::wrap), for a function that is not async: it waits by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`wrap`](RateLimiter::wrap).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{Quota, RateLimiter};
    ///
    /// let limiter = RateLimiter::new(Quota::per_second(100).burst(10));
    /// let square = limiter.wrap_blocking(|n: u64| n * n);
    /// assert_eq!(square(7)?, 49);
    /// # Ok::<(), brimful::AcquireError>(())
    /// ```
    pub fn wrap_blocking<A, R, F: Fn(A) -> R>(&self, f: F) -> impl Fn(A) -> Result<R, AcquireError> {
        move |argument| {
            self.acquire_blocking()?;
            Ok(f(argument))
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of a call of a wrapped function, made by [`RateLimiter::wrap`]: it waits for a token,
    /// and then runs the function.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct WrapFuture<'a, A, F, R, C = QuantaClock>
    where
        C: Clock,
        C: Clone,
        C: Send,
        C: Sync,
        C: 'static,
    {
        acquire: Acquire<'a, C>,
        call: Option<(Arc<F>, A)>,
        #[pin]
        running: Option<R>,
    }
}

impl<A, F, R, C> Future for WrapFuture<'_, A, F, R, C>
where
    F: Fn(A) -> R,
    R: Future,
    C: Clock + Clone + Send + Sync + 'static,
{
    type Output = Result<R::Output, AcquireError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.call.is_some() {
            let granted = ready!(Pin::new(this.acquire).poll(context));
            let call = this.call.take();
            granted?;
            this.running.set(call.map(|(f, argument)| f(argument)));
        }
        match this.running.as_mut().as_pin_mut() {
            Some(running) => running.poll(context).map(Ok),
            None => Poll::Pending,
        }
    }
}

impl<A, F, R, C: Clock + Clone + Send + Sync + 'static> fmt::Debug for WrapFuture<'_, A, F, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrapFuture").field("acquire", &self.acquire).finish_non_exhaustive()
    }
}
