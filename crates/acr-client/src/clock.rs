//! Where the client takes its time from.
//!
//! The client reads the time to judge how long a token lives, and waits: to notice that a server has
//! fallen silent, before it tries again, and for its turn when the registry allows no more calls in
//! this second. All of it goes through one [`Clock`], so a test can move time instead of waiting. A
//! clock that nobody moves lets a wait never end; a test with such a clock turns the waits off, by
//! [`RetryOptions::none`](crate::RetryOptions::none) and
//! [`LimiterOptions::off`](crate::LimiterOptions::off). With the feature `hyper` (on by default) the
//! clock is `TokioClock` unless another one is given; without it there is no clock to fall back on, and
//! the client's builder asks for one.

use std::any::{Any, type_name};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Tells the time and waits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no clock of the client",
    note = "the clock of another crate is joined by `acr_client::clock::from_fn`, of two functions"
)]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> SystemTime;

    /// Returns a future that ends when `duration` has passed.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Keeps a clock that moves by itself from moving until the returned value is dropped.
    ///
    /// A virtual clock jumps to the next timer when nothing is left to do. Work that is done where
    /// it cannot see it, such as on another thread, holds the clock meanwhile. Clocks of real time
    /// have nothing to hold, and that is the default.
    fn hold(&self) -> Box<dyn Any + Send> {
        Box::new(())
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        (**self).sleep(duration)
    }

    fn hold(&self) -> Box<dyn Any + Send> {
        (**self).hold()
    }
}

/// Real time: the system's clock, and tokio's timer to wait.
///
/// Waiting needs a tokio runtime with its time driver enabled, as `#[tokio::main]` has it.
#[cfg(feature = "hyper")]
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

#[cfg(feature = "hyper")]
impl Clock for TokioClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Makes a clock of two functions: one that tells the time, one that waits.
///
/// So a clock of another crate is joined in one line:
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// # #[derive(Clone)] struct VirtualClock;
/// # impl VirtualClock {
/// #     fn now(&self) -> SystemTime { SystemTime::UNIX_EPOCH }
/// #     fn sleep(&self, _: Duration) -> std::future::Ready<()> { std::future::ready(()) }
/// # }
/// # let virtual_clock = VirtualClock;
/// use acr_client::clock;
///
/// let (a, b) = (virtual_clock.clone(), virtual_clock.clone());
/// let clock = clock::from_fn(move || a.now(), move |duration| b.sleep(duration));
/// ```
///
/// One that moves by itself needs a third one, [`FromFn::with_hold`].
pub fn from_fn<N, S, Fut>(now: N, sleep: S) -> FromFn<N, S>
where
    N: Fn() -> SystemTime + Send + Sync + 'static,
    S: Fn(Duration) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    FromFn {
        now,
        sleep,
        hold: None,
    }
}

/// The clock that [`from_fn`] makes.
#[derive(Clone)]
pub struct FromFn<N, S> {
    now: N,
    sleep: S,
    hold: Option<Hold>,
}

type Hold = Arc<dyn Fn() -> Box<dyn Any + Send> + Send + Sync>;

impl<N, S> FromFn<N, S> {
    /// Adds what [`Clock::hold`] does: keeps the clock from moving by itself as long as what the
    /// function returns is kept.
    ///
    /// A clock that jumps to the end of the next sleep whenever nothing is ready does not see a
    /// thread that waits for a credential helper; held meanwhile, it does not jump to the end of the
    /// helper's time.
    ///
    /// ```
    /// use acr_client::clock;
    /// use acr_mock::{Clock as _, VirtualClock};
    ///
    /// let time = VirtualClock::new();
    /// let (now, sleep, hold) = (time.clone(), time.clone(), time.clone());
    /// let clock = clock::from_fn(move || now.now(), move |duration| sleep.sleep(duration))
    ///     .with_hold(move || hold.hold());
    /// # let _ = clock;
    /// ```
    #[must_use]
    pub fn with_hold<H, T>(mut self, hold: H) -> Self
    where
        H: Fn() -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.hold = Some(Arc::new(move || Box::new(hold())));
        self
    }
}

impl<N, S> fmt::Debug for FromFn<N, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn")
            .field("now", &type_name::<N>())
            .field("sleep", &type_name::<S>())
            .finish()
    }
}

impl<N, S, Fut> Clock for FromFn<N, S>
where
    N: Fn() -> SystemTime + Send + Sync + 'static,
    S: Fn(Duration) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn now(&self) -> SystemTime {
        (self.now)()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin((self.sleep)(duration))
    }

    fn hold(&self) -> Box<dyn Any + Send> {
        self.hold
            .as_ref()
            .map_or_else(|| Box::new(()) as _, |hold| hold())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_clock_of_functions_is_held_as_long_as_what_its_function_gives_lives() {
        let held = Arc::new(());
        let clock = from_fn(SystemTime::now, |_| std::future::pending());
        drop(clock.hold());
        let shared = held.clone();
        let clock = clock.with_hold(move || shared.clone());
        let hold = clock.hold();
        assert_eq!(Arc::strong_count(&held), 3);
        drop(hold);
        assert_eq!(Arc::strong_count(&held), 2);
    }

    #[tokio::test]
    async fn a_clock_of_functions_tells_and_waits_by_them() {
        let elapsed = Arc::new(Mutex::new(Duration::ZERO));
        let clock = from_fn(
            {
                let elapsed = elapsed.clone();
                move || SystemTime::UNIX_EPOCH + *elapsed.lock().unwrap()
            },
            {
                let elapsed = elapsed.clone();
                move |duration| {
                    *elapsed.lock().unwrap() += duration;
                    std::future::ready(())
                }
            },
        );
        let clock: Arc<dyn Clock> = Arc::new(clock);
        clock.sleep(Duration::from_secs(60)).await;
        assert_eq!(
            clock.now(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(60)
        );
    }
}
