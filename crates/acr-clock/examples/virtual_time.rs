//! A program that waits, tested in no time.
//!
//! ```text
//! cargo run -p acr-clock --example virtual_time
//! ```

use std::time::Duration;

use acr_clock::{Clock, VirtualClock};

/// The program that is tested: asks again, after twice the time, until it is there.
async fn poll(clock: &dyn Clock, mut ask: impl FnMut() -> Option<u32>) -> u32 {
    let mut wait = Duration::from_secs(1);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        clock.sleep(wait).await;
        wait *= 2;
    }
}

pub(crate) fn main() {
    let clock = VirtualClock::new();
    let mut results = [None, None, None, Some(7)].into_iter();
    let started = clock.elapsed();
    let found = clock.drive(poll(&clock, || results.next().flatten()));
    assert_eq!(found, 7);
    assert_eq!(clock.elapsed() - started, Duration::from_secs(1 + 2 + 4));
    println!("{found} after {:?}", clock.elapsed() - started);
}
