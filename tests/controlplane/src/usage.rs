//! What a running process takes, as Linux counts it.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Memory and processor time of a process, or of several together.
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
    /// Of the process `pid` and every process below it, now; of those that have ended, the processor time.
    pub(crate) fn of_all(pid: u32) -> Result<Self> {
        let ended = ticks(&file(pid, "stat")?, 13).context("/proc/*/stat is not as expected")?;
        let mut sum = Self::of(pid)?;
        sum.cpu += time(ended)?;
        for child in children(pid) {
            // One that ends meanwhile counts with the next look.
            let Ok(child) = Self::of_all(child) else { continue };
            sum.resident += child.resident;
            sum.anonymous += child.anonymous;
            sum.peak += child.peak;
            sum.cpu += child.cpu;
        }
        Ok(sum)
    }

    /// Bytes that `pid` and every process below it have resident now, what they share counted once. `None` where the system does
    /// not let us look: a caged process is nobody's but root's.
    pub(crate) fn shared_once(pid: u32) -> Option<u64> {
        let own = bytes(&file(pid, "smaps_rollup").ok()?, "Pss:")?;
        children(pid).into_iter().try_fold(own, |sum, child| Some(sum + Self::shared_once(child)?))
    }

    /// Of the process `pid` alone, now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = file(pid, "status")?;
        let ticks = ticks(&file(pid, "stat")?, 11).context("/proc/*/stat is not as expected")?;
        Ok(Self {
            resident: bytes(&status, "VmRSS:").context("no VmRSS")?,
            anonymous: bytes(&status, "RssAnon:").context("no RssAnon")?,
            peak: bytes(&status, "VmHWM:").context("no VmHWM")?,
            cpu: time(ticks)?,
        })
    }
}

fn file(pid: u32, name: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{name}"))
        .with_context(|| format!("cannot read /proc/{pid}/{name}: this needs Linux and a running process"))
}

fn time(ticks: u64) -> Result<Duration> {
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
    Ok(Duration::from_millis(ticks * 1000 / u64::try_from(per_second)?))
}

/// The processes that any thread of `pid` has started and that have not ended.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// A line of `/proc/<pid>/status`, for example `VmRSS:     1234 kB`.
fn bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Two fields of `/proc/<pid>/stat` together, `skipped` after the name: utime and stime (11), or cutime and cstime (13), those of
/// children that have ended.
fn ticks(stat: &str, skipped: usize) -> Option<u64> {
    // The name of the program, in parentheses, is the second field and may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(skipped);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::{bytes, ticks};

    #[test]
    fn the_files_of_proc_are_understood() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 250 31 7 2 20 0 5 0 9 1000 200 0";
        assert_eq!((ticks(stat, 11), ticks(stat, 13)), (Some(281), Some(9)));
        let status = "Name:\tigw\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(1024 * 1024));
        assert_eq!(bytes(status, "VmPeak:"), None);
    }
}
