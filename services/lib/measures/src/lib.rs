//! A metric as it is declared: name, kind, unit, help, and each label with all the values that it can have.
//! services/METRICS.md is made of the declarations, and what a process shows is compared with them.

use metrics::{Label as Pair, Unit};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Clone, Copy)]
pub struct Measure {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Option<Unit>,
    pub labels: &'static [Label],
    /// One sentence; it stands in /metrics too.
    pub help: &'static str,
}

/// Never an address, a domain or an id: whoever sends mail must not be able to make series.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    pub name: &'static str,
    /// All of them.
    pub values: fn() -> Vec<&'static str>,
}

/// Counters of more series than this begin when something is counted.
const FROM_ZERO: usize = 64;

pub const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Measure {
    Measure { name, kind: Kind::Counter, unit: Some(Unit::Count), labels, help }
}

pub const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Measure {
    Measure { name, kind: Kind::Gauge, unit: None, labels, help }
}

pub const fn seconds(name: &'static str, labels: &'static [Label], help: &'static str) -> Measure {
    Measure { name, kind: Kind::Histogram, unit: Some(Unit::Seconds), labels, help }
}

pub const fn bytes(name: &'static str, labels: &'static [Label], help: &'static str) -> Measure {
    Measure { name, kind: Kind::Histogram, unit: Some(Unit::Bytes), labels, help }
}

impl Measure {
    pub const fn of(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// Every combination of values.
    pub fn series(&self) -> Vec<Vec<(&'static str, &'static str)>> {
        self.labels.iter().fold(vec![Vec::new()], |series, label| {
            let values = (label.values)();
            let with = |pairs: &Vec<(&'static str, &'static str)>, value| {
                let mut pairs = pairs.clone();
                pairs.push((label.name, value));
                pairs
            };
            series.iter().flat_map(|pairs| values.iter().map(move |value| with(pairs, *value))).collect()
        })
    }

    /// Each of its series is there from the beginning, so that the first event is seen as an increase.
    pub fn begins_at_zero(&self) -> bool {
        self.kind == Kind::Counter && self.series().len() <= FROM_ZERO
    }

    /// As Prometheus sees it.
    pub fn exposed(&self) -> String {
        let mut name = self.name.replace('.', "_");
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        let unit = match self.unit {
            Some(Unit::Seconds) => "_seconds",
            Some(Unit::Bytes) => "_bytes",
            Some(_) | None => "",
        };
        for part in [unit, total] {
            if !name.ends_with(part) {
                name += part;
            }
        }
        name
    }
}

/// Makes them known to the recorder that is installed by now.
pub fn describe(all: &[Measure]) {
    for measure in all {
        let unit = measure.unit.unwrap_or(Unit::Count);
        match measure.kind {
            Kind::Counter => metrics::describe_counter!(measure.name, unit, measure.help),
            Kind::Gauge => metrics::describe_gauge!(measure.name, unit, measure.help),
            Kind::Histogram => metrics::describe_histogram!(measure.name, unit, measure.help),
        }
        if measure.begins_at_zero() {
            for pairs in measure.series() {
                let labels: Vec<Pair> =
                    pairs.iter().map(|(name, value)| Pair::from_static_parts(name, value)).collect();
                metrics::counter!(measure.name, labels).absolute(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Label] =
        &[Label { name: "a", values: || vec!["1", "2"] }, Label { name: "b", values: || vec!["x", "y"] }];

    #[test]
    fn series_are_all_combinations() {
        let series = counter("c", TWO, "").series();
        assert_eq!(series.len(), 4);
        assert_eq!(series[1], [("a", "1"), ("b", "y")]);
        assert_eq!(counter("c", &[], "").series(), [[]]);
    }

    #[test]
    fn names_are_those_of_the_exporter() {
        assert_eq!(counter("a.b", &[], "").exposed(), "a_b_total");
        assert_eq!(seconds("a.b", &[], "").exposed(), "a_b_seconds");
        assert_eq!(bytes("a.size", &[], "").exposed(), "a_size_bytes");
        assert_eq!(gauge("a", &[], "").of(Unit::Bytes).exposed(), "a_bytes");
        assert_eq!(counter("a", &[], "").of(Unit::Seconds).exposed(), "a_seconds_total");
    }
}
