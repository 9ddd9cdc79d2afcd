//! The time of a tokio runtime.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use crate::{Clock, Sleep};

/// Tokio's time: real, unless a test pauses or advances it.
///
/// Under `#[tokio::test(start_paused = true)]` the wall-clock time, too, moves along with tokio's sleeps, so that
/// what expires at a date does so after a sleep of that length. Sleeping needs a runtime with its time driver
/// enabled, as `#[tokio::main]` has it; telling the time does not.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use acr_clock::{Clock, TokioClock};
///
/// let start = TokioClock.now();
/// TokioClock.sleep(Duration::from_secs(3600)).await; // no real time, if tokio's is paused
/// assert!(TokioClock.now() >= start + Duration::from_secs(3600));
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> SystemTime {
        let before = Instant::now();
        let tokio = ::tokio::time::Instant::now().into_std();
        if (before..=Instant::now()).contains(&tokio) {
            // Not paused: as the machine's clock, which may be set, and goes on while the machine sleeps.
            return SystemTime::now();
        }
        let anchor = anchor();
        let time = match tokio.checked_duration_since(anchor.instant) {
            Some(ahead) => anchor.wall.checked_add(ahead),
            None => anchor.wall.checked_sub(anchor.instant - tokio),
        };
        time.unwrap_or(anchor.wall)
    }

    fn elapsed(&self) -> Duration {
        let (tokio, anchor) = (::tokio::time::Instant::now().into_std(), anchor().instant);
        let ahead = tokio.saturating_duration_since(anchor);
        (ORIGIN + ahead).saturating_sub(anchor.saturating_duration_since(tokio))
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(::tokio::time::sleep(duration))
    }
}

/// The anchor lies this long after the origin of `elapsed`: a runtime may have been paused before the anchor was set.
const ORIGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Ties tokio's paused time to the wall clock, once for the whole process: two readings agree exactly.
struct Anchor {
    instant: Instant,
    wall: SystemTime,
}

fn anchor() -> &'static Anchor {
    static ANCHOR: OnceLock<Anchor> = OnceLock::new();
    ANCHOR.get_or_init(|| Anchor {
        instant: Instant::now(),
        wall: SystemTime::now(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn paused_time_stands_still_between_sleeps() {
        let (now, elapsed) = (TokioClock.now(), TokioClock.elapsed());
        std::thread::yield_now();
        assert_eq!((TokioClock.now(), TokioClock.elapsed()), (now, elapsed));
    }

    #[tokio::test(start_paused = true)]
    async fn wall_time_moves_along_with_paused_sleeps() {
        let (now, elapsed) = (TokioClock.now(), TokioClock.elapsed());
        TokioClock.sleep(HOUR).await;
        assert_eq!(TokioClock.now(), now + HOUR);
        assert_eq!(TokioClock.elapsed(), elapsed + HOUR);
        ::tokio::time::advance(HOUR).await;
        assert_eq!(TokioClock.now(), now + HOUR * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_was_paused_before_the_anchor_loses_no_time() {
        let elapsed = TokioClock.elapsed();
        ::tokio::time::advance(Duration::from_nanos(1)).await;
        assert!(TokioClock.elapsed() > elapsed);
    }

    #[test]
    fn without_a_runtime_it_tells_real_time() {
        let (before, now, after) = (SystemTime::now(), TokioClock.now(), SystemTime::now());
        assert!((before..=after).contains(&now));
        let elapsed = TokioClock.elapsed();
        assert!(TokioClock.elapsed() >= elapsed);
    }
}
