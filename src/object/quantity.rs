//! Kubernetes quantities compared by meaning: `1`, `1000m` and `1e0` are one value. PURE.
//!
//! Source: k8s.io/apimachinery pkg/api/resource, grammar of `Quantity`.

use std::cmp::Ordering;

/// A parsed quantity: `mantissa * 2^binary * 10^decimal`, exact.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    mantissa: i128,
    binary: u32,
    decimal: i32,
}

impl Quantity {
    /// Parses `500m`, `1.5Gi`, `2e3`, `0.1`. `None` when the text is not a quantity.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits_end = text
            .char_indices()
            .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && (*c == '+' || *c == '-'))))
            .map_or(text.len(), |(i, _)| i);
        let (number, suffix) = text.split_at(digits_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if !whole.bytes().chain(fraction.bytes()).any(|b| b.is_ascii_digit()) || fraction.contains('.') {
            return None;
        }
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let places = i32::try_from(fraction.len()).ok()?;
        let (binary, exponent) = match suffix {
            "" => (0, 0),
            "n" => (0, -9),
            "u" => (0, -6),
            "m" => (0, -3),
            "k" => (0, 3),
            "M" => (0, 6),
            "G" => (0, 9),
            "T" => (0, 12),
            "P" => (0, 15),
            "E" => (0, 18),
            "Ki" => (10, 0),
            "Mi" => (20, 0),
            "Gi" => (30, 0),
            "Ti" => (40, 0),
            "Pi" => (50, 0),
            "Ei" => (60, 0),
            _ => (0, suffix.strip_prefix(['e', 'E'])?.parse::<i8>().ok()?.into()),
        };
        Some(Self { mantissa, binary, decimal: exponent - places })
    }

    /// The value as a multiple of `10^exponent`, exact; `None` when that does not fit (far beyond what a server takes).
    fn scaled(self, exponent: i32) -> Option<i128> {
        let up = u32::try_from(self.decimal.checked_sub(exponent)?).ok()?;
        self.mantissa.checked_mul(1_i128.checked_shl(self.binary)?)?.checked_mul(10_i128.checked_pow(up)?)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let scale = self.decimal.min(other.decimal);
        Some(self.scaled(scale)?.cmp(&other.scaled(scale)?))
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    fn check(a: &str, op: &str, b: &str) {
        let (left, right) = (Quantity::parse(a), Quantity::parse(b));
        let (left, right) = (left.expect(a), right.expect(b));
        let holds = match op {
            "=" => left == right,
            "<" => left < right,
            other => unreachable!("{other}"),
        };
        assert!(holds, "{a} {op} {b}");
    }

    #[test]
    fn values_compare_by_meaning() {
        check("1", "=", "1000m");
        check("0.5Gi", "=", "512Mi");
        check("1e3", "=", "1k");
        check("1.50", "=", "1500m");
        check("0", "=", "0Mi");
        check("1E", "=", "1e18");
        check("128Mi", "<", "256Mi");
        check("100m", "<", "2");
        check("999M", "<", "1Gi");
        check("1n", "<", "8Ei");
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "Mi", "1.2.3", "abc", "1 Gi", "1mi", "--1", "1e", ".", "0x10"] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }
}
