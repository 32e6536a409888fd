//! `key=value` words. Every problem of a line is found, and then the line adds nothing.

use std::{fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use hikyaku_types::traffic::{
    Rate,
    value::{read_time, write_time},
};

use crate::problem::Findings;

pub(super) struct Fields<'t, 'f> {
    line: u32,
    values: Vec<(&'t str, &'t str)>,
    findings: &'f mut Findings,
    is_good: bool,
}

impl<'t, 'f> Fields<'t, 'f> {
    pub(super) fn read(words: impl Iterator<Item = &'t str>, line: u32, findings: &'f mut Findings) -> Self {
        let mut fields = Self { line, values: Vec::new(), findings, is_good: true };
        for word in words {
            match word.split_once('=') {
                Some((key, _)) if fields.values.iter().any(|(earlier, _)| *earlier == key) => {
                    fields.error("E-TR-TWICE", format!("{key} is said twice"));
                }
                Some(pair) => fields.values.push(pair),
                None => fields.error("E-TR-FIELDS", format!("{word:?} is not key=value")),
            }
        }
        if fields.values.is_empty() && fields.is_good {
            fields.error("E-TR-FIELDS", "the line sets nothing; want key=value".to_owned());
        }
        fields
    }

    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let (low, high) = (*range.start(), *range.end());
        let wanted = format!("want a number, {low} to {high}");
        self.value(key, |text| text.parse().ok().filter(|number| range.contains(number)).ok_or(wanted))
    }

    pub(super) fn part(&mut self, key: &str, highest: f64) -> Option<f64> {
        let wanted = format!("want a number, 0 to {highest}");
        let is_in = move |part: &f64| (0.0..=highest).contains(part);
        self.value(key, |text| text.parse().ok().filter(is_in).ok_or(wanted))
    }

    pub(super) fn per_cent(&mut self, key: &str) -> Option<u32> {
        let read = |text: &str| text.strip_suffix('%')?.parse().ok().filter(|it| (1..=100).contains(it));
        self.value(key, |text| read(text).ok_or("want 1% to 100%"))
    }

    pub(super) fn rate(&mut self, key: &str) -> Option<Rate> {
        self.parsed(key)
    }

    pub(super) fn time(&mut self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (low, high) = (write_time(*range.start()), write_time(*range.end()));
        self.value(key, |text| {
            let time = read_time(text).map_err(|error| error.to_string())?;
            if range.contains(&time) { Ok(time) } else { Err(format!("want {low} to {high}")) }
        })
    }

    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Option<T> {
        self.value(key, str::parse)
    }

    /// One of the words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: [(&str, T); 2]) -> Option<T> {
        let [(first, _), (second, _)] = choices;
        let wanted = format!("want {first} or {second}");
        let chosen = |text: &str| choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        self.value(key, |text| chosen(text).ok_or(wanted))
    }

    fn value<T, E: fmt::Display>(
        &mut self,
        key: &str,
        read: impl FnOnce(&'t str) -> Result<T, E>,
    ) -> Option<T> {
        let place = self.values.iter().position(|(name, _)| *name == key)?;
        let (_, text) = self.values.remove(place);
        match read(text) {
            Ok(value) => Some(value),
            Err(wanted) => {
                self.error("E-TR-VALUE", format!("{key}={text}: {wanted}"));
                None
            }
        }
    }

    pub(super) fn error(&mut self, code: &'static str, reason: String) {
        self.findings.error(self.line, code, reason);
        self.is_good = false;
    }

    /// Whether the line may be used: what is left over is not known.
    pub(super) fn finish(mut self, known: &str) -> bool {
        for (key, _) in std::mem::take(&mut self.values) {
            self.error("E-TR-KEY", format!("{key:?} is not a key here; there are {known}"));
        }
        self.is_good
    }
}
