//! What processes cost, as Linux counts it. Elsewhere nothing is known, and what needs it is not judged.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The CPU time of all threads of a process so far.
pub(super) fn of_process(pid: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let times = tasks.filter_map(|task| scheduled(&task.ok()?.path().join("schedstat")));
    Some(times.sum())
}

/// The CPU time of the calling thread so far.
pub(super) fn of_thread() -> Option<Duration> {
    // The kernel adds up a running thread's time when it looks at it, as it does here.
    std::thread::yield_now();
    scheduled("/proc/thread-self/schedstat".as_ref())
}

/// Holds all threads of a process, and those that they start, to one of two cores, if there are two and the program
/// `taskset`. Without it the figures have a wider spread.
pub(super) fn pin(pid: u32, core: usize) {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > core) {
        let mut command = Command::new("taskset");
        command.args(["--all-tasks", "--cpu-list", "--pid"]);
        command.args([core.to_string(), pid.to_string()]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn scheduled(path: &std::path::Path) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
