//! What a running process takes, as Linux counts it.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Memory and processor time of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Bytes resident now.
    pub(crate) resident: u64,
    /// Those of them that are not the content of a file, such as the program itself.
    pub(crate) anonymous: u64,
    /// The most bytes that were ever resident.
    pub(crate) peak: u64,
    /// Processor time of all threads, user and system.
    pub(crate) cpu: Duration,
}

impl Usage {
    /// Of the process `pid`, now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{pid}/{file}"))
                .with_context(|| format!("cannot read /proc/{pid}/{file}: this needs Linux and a running process"))
        };
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
        let status = read("status")?;
        let ticks = ticks(&read("stat")?).context("/proc/*/stat is not as expected")?;
        Ok(Self {
            resident: bytes(&status, "VmRSS:").context("no VmRSS")?,
            anonymous: bytes(&status, "RssAnon:").context("no RssAnon")?,
            peak: bytes(&status, "VmHWM:").context("no VmHWM")?,
            cpu: Duration::from_millis(ticks * 1000 / u64::try_from(ticks_per_second)?),
        })
    }
}

/// A line of `/proc/<pid>/status`, for example `VmRSS:     1234 kB`.
fn bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The fields utime and stime of `/proc/<pid>/stat`, 14 and 15 counted from one.
fn ticks(stat: &str) -> Option<u64> {
    // The name of the program, in parentheses, is the second field and may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::{bytes, ticks};

    #[test]
    fn the_files_of_proc_are_understood() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 5 0 9 1000 200 0";
        assert_eq!(ticks(stat), Some(281));
        let status = "Name:\tigw\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(1024 * 1024));
        assert_eq!(bytes(status, "VmPeak:"), None);
    }
}
