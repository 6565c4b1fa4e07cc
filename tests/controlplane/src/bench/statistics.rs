//! The middle and the slow end of some measured times.

use std::time::Duration;

/// The time that `part` of 100 are not above, by the nearest-rank method: always one of the measured times.
pub(super) fn percentile(times: &[Duration], part: usize) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * part).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::{Duration, percentile};

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<Duration> = (1..=10).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Some(Duration::from_millis(5)));
        assert_eq!(percentile(&times, 90), Some(Duration::from_millis(9)));
        assert_eq!(percentile(&times, 100), Some(Duration::from_millis(10)));
        assert_eq!(percentile(&times[..1], 50), Some(Duration::from_millis(10)));
        assert_eq!(percentile(&[], 50), None);
    }
}
