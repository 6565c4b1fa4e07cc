//! The result: rows with a value and perhaps a target, as a table for people and as JSON for programs.

use serde_json::{Value, json};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    PerObject,
    Ratio,
    Seconds,
    Milliseconds,
    Microseconds,
    Mebibytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Count | Self::PerObject => "",
            Self::Ratio => "times",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Mebibytes => "MiB",
        }
    }

    fn decimals(self) -> usize {
        match self {
            Self::Count | Self::Microseconds => 0,
            Self::PerObject | Self::Ratio | Self::Seconds => 2,
            Self::Milliseconds | Self::Mebibytes => 1,
        }
    }

    fn text(self, value: f64) -> String {
        let number = thousands(&format!("{value:.*}", self.decimals()));
        format!("{number} {}", self.name()).trim_end().to_owned()
    }
}

/// What a value should be.
#[derive(Clone, Copy, Debug)]
enum Target {
    AtMost(f64),
    Exactly(f64),
}

impl Target {
    fn value(self) -> f64 {
        let (Self::AtMost(value) | Self::Exactly(value)) = self;
        value
    }
}

/// One measured value.
#[derive(Clone, Debug)]
struct Row {
    section: String,
    name: String,
    value: f64,
    unit: Unit,
    target: Option<Target>,
    /// Only programs want to see it.
    hidden: bool,
}

/// All rows, in the order in which they were measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    section: String,
    rows: Vec<Row>,
}

impl Table {
    /// The rows that follow belong together.
    pub(super) fn section(&mut self, title: &str) {
        title.clone_into(&mut self.section);
    }

    /// A value.
    pub(super) fn row(&mut self, name: &str, value: f64, unit: Unit) {
        self.push(name, value, unit, None);
    }

    /// A number that people need to see only if there is one.
    pub(super) fn row_unless_zero(&mut self, name: &str, value: f64) {
        self.push(name, value, Unit::Count, None);
        if let Some(row) = self.rows.last_mut() {
            row.hidden = value == 0.0;
        }
    }

    /// A value that should be at most `target`.
    pub(super) fn at_most(&mut self, name: &str, value: f64, unit: Unit, target: f64) {
        self.push(name, value, unit, Some(Target::AtMost(target)));
    }

    /// A number that should be `target`.
    pub(super) fn exactly(&mut self, name: &str, value: usize, target: usize) {
        self.push(name, value as f64, Unit::Count, Some(Target::Exactly(target as f64)));
    }

    /// Takes in the rows of another table.
    pub(super) fn append(&mut self, mut other: Self) {
        self.rows.append(&mut other.rows);
    }

    fn push(&mut self, name: &str, value: f64, unit: Unit, target: Option<Target>) {
        self.rows.push(Row {
            section: self.section.clone(),
            name: name.to_owned(),
            value,
            unit,
            target,
            hidden: false,
        });
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| !row.hidden).collect();
        let cells: Vec<[String; 4]> = rows.iter().map(|row| row.cells()).collect();
        let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let (name, value, target) = (width(0).max(20), width(1).max(8), width(2).max(6));
        let mut text = format!("{:name$}  {:>value$}  {:>target$}\n", "", "measured", "target");
        let mut section = "";
        for (row, cells) in rows.iter().zip(&cells) {
            if row.section != section {
                section = &row.section;
                text.push_str(&format!("{section}\n"));
            }
            let line = format!("{:name$}  {:>value$}  {:>target$}  {}", cells[0], cells[1], cells[2], cells[3]);
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        self.rows
            .iter()
            .map(|row| {
                let mut object =
                    json!({"section": row.section, "name": row.name, "value": row.rounded(), "unit": row.unit.name()});
                if let Some(target) = row.target {
                    object["target"] = json!(target.value());
                    object["ok"] = json!(row.ok(target));
                }
                object
            })
            .collect()
    }
}

impl Row {
    fn cells(&self) -> [String; 4] {
        let target = self.target.map(|target| {
            let text = self.unit.text(target.value());
            match target {
                Target::Exactly(_) => format!("= {text}"),
                Target::AtMost(_) if text == "0" => text,
                Target::AtMost(_) => format!("<= {text}"),
            }
        });
        let verdict = self.target.map_or("", |target| if self.ok(target) { "ok" } else { "missed" });
        [format!("  {}", self.name), self.unit.text(self.value), target.unwrap_or_default(), verdict.to_owned()]
    }

    /// As it is shown, so that no value is called missed that looks like the target.
    fn ok(&self, target: Target) -> bool {
        match target {
            Target::AtMost(target) => self.rounded() <= target,
            Target::Exactly(target) => self.rounded() == target,
        }
    }

    fn rounded(&self) -> f64 {
        format!("{:.*}", self.unit.decimals(), self.value).parse().unwrap_or(self.value)
    }
}

/// `12345.60` as `12,345.60`.
fn thousands(number: &str) -> String {
    let (whole, fraction) = number.find('.').map_or((number, ""), |point| number.split_at(point));
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Table, Unit, thousands};

    #[test]
    fn the_table_is_aligned_and_says_what_was_missed() {
        let mut table = Table::default();
        table.section("Calls");
        table.row("apply", 5000.0, Unit::Count);
        table.row_unless_zero("update", 0.0);
        table.at_most("per Gateway", 7.054, Unit::PerObject, 7.05);
        table.exactly("children", 4999, 5000);
        table.section("Time");
        table.at_most("until there", 12.5, Unit::Seconds, 3.0);
        let expected = concat!(
            "                      measured     target\n",
            "Calls\n",
            "  apply                  5,000\n",
            "  per Gateway             7.05    <= 7.05  ok\n",
            "  children               4,999    = 5,000  missed\n",
            "Time\n",
            "  until there          12.50 s  <= 3.00 s  missed\n",
        );
        assert_eq!(table.text(), expected);
        assert_eq!(
            table.json()[2],
            json!({"section": "Calls", "name": "per Gateway", "value": 7.05, "unit": "", "target": 7.05, "ok": true})
        );
    }

    #[test]
    fn thousands_are_separated() {
        for (plain, separated) in [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-123456.7", "-123,456.7")] {
            assert_eq!(thousands(plain), separated);
        }
    }
}
