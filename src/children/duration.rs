//! Durations as Go programs read them: `60s`, `1m30s`, `500ms`. PURE.

use crate::kinds::InvalidSpec;

/// What a duration looks like, for the schemas. Negative ones make no sense for a timeout.
pub const PATTERN: &str = r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$";

/// The length in nanoseconds; `None` when the text is not a duration or is longer than Go can hold (292 years).
#[must_use]
pub fn nanoseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (name, next) = tail.split_at(unit);
        total = total.checked_add(length(digits, name)?)?;
        rest = next;
    }
    (!text.is_empty() && i64::try_from(total).is_ok()).then_some(total)
}

/// The length in nanoseconds of the text in a field of a spec. The schema refuses what is no duration; resources that were
/// stored before it can still say so.
///
/// # Errors
/// When the text is not a duration.
pub fn checked(text: &str, field: impl Fn() -> String) -> Result<u64, InvalidSpec> {
    nanoseconds(text).ok_or_else(|| InvalidSpec {
        field: field(),
        message: format!("{text:?} is not a duration such as 30s or 1m30s"),
    })
}

fn length(digits: &str, unit: &str) -> Option<u64> {
    let scale: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let mut value = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || fraction.is_empty() {
        return None;
    }
    let mut step = scale;
    for digit in fraction.bytes() {
        step /= 10;
        value = value.checked_add(u64::from(digit - b'0') * step)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases =
            [("0", 0), ("60s", 60_000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("2h0.5s", 7_200_500)];
        for (text, milliseconds) in cases {
            assert_eq!(nanoseconds(text), Some(milliseconds * 1_000_000), "{text}");
        }
        assert_eq!(nanoseconds("3us4ns"), Some(3_004));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "60", "abc", "-1s", "1 s", "1d", "s", ".s", "1.2.3s", "1.s", "99999999h"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
