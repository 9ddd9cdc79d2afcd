//! What this process costs while it does something. The peers' programs have this file too.

use std::str::FromStr;
use std::time::Instant;
use std::{fmt, fs, io};

/// The moment before the work. Only Linux tells what is asked here.
#[derive(Debug)]
pub(super) struct Start {
    time: Instant,
    cpu: f64,
    memory: u64,
}

/// What the work has cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    /// Seconds that it took.
    pub(super) seconds: f64,
    /// Seconds of CPU time of all threads, also of those that have ended.
    pub(super) cpu: f64,
    /// The most bytes that the process had in memory, over those that it had before.
    pub(super) memory: u64,
}

impl Start {
    /// Begins to measure.
    pub(super) fn now() -> io::Result<Self> {
        // Makes the most memory so far that of now.
        fs::write("/proc/self/clear_refs", "5")?;
        Ok(Self {
            memory: memory("VmRSS:")?,
            cpu: cpu()?,
            time: Instant::now(),
        })
    }

    /// Ends it.
    pub(super) fn end(self) -> io::Result<Cost> {
        Ok(Cost {
            seconds: self.time.elapsed().as_secs_f64(),
            cpu: cpu()? - self.cpu,
            memory: memory("VmHWM:")?.saturating_sub(self.memory),
        })
    }
}

/// One line, which [`Cost::from_str`] reads.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.seconds, self.cpu, self.memory)
    }
}

impl FromStr for Cost {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let read = || {
            let mut fields = line.split(' ');
            Some(Self {
                seconds: fields.next()?.parse().ok()?,
                cpu: fields.next()?.parse().ok()?,
                memory: fields.next()?.parse().ok()?,
            })
        };
        read().ok_or_else(|| format!("not what something costs: {line:?}"))
    }
}

/// Seconds of CPU time so far, which Linux counts in hundredths.
fn cpu() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // The name of the program is in parentheses, and may have any character in it.
    let fields = text.rsplit_once(')').map(|(_, fields)| fields);
    let times = fields.and_then(|fields| {
        let mut times = fields.split_whitespace().skip(11);
        let (user, system): (f64, f64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
        Some((user + system) / 100.0)
    });
    times.ok_or_else(|| io::Error::other("/proc/self/stat has another form"))
}

/// A line of /proc/self/status, in bytes.
fn memory(name: &str) -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let kilobytes = text.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.trim().strip_suffix(" kB")?;
        value.parse::<u64>().ok()
    });
    let kilobytes = kilobytes.ok_or_else(|| io::Error::other(format!("no line {name}")))?;
    Ok(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let cost = Cost {
            seconds: 0.25,
            cpu: 1e-7,
            memory: 12,
        };
        assert_eq!(cost.to_string().parse(), Ok(cost));
        assert!("0.25 1".parse::<Cost>().is_err());
    }
}
