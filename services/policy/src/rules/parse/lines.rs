//! Text to data lines (spec.md 4.0): byte order mark, CRLF, blank lines and
//! comments go; what no document may contain is reported.

use crate::problem::Findings;

/// Spec.md 4.0: a longer line is refused.
const MAX_LINE: usize = 1000;

/// A line that is neither blank nor a comment, without blanks at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) text: &'a str,
}

impl Line<'_> {
    /// Reports what no data field may contain. False: there is nothing more to say of this line.
    pub(crate) fn is_clean(&self, findings: &mut Findings) -> bool {
        if !self.is_bounded(findings) {
            return false;
        }
        if !self.text.is_ascii() {
            findings.error(self.number, "E-NONASCII", "non-ASCII character in a data field");
        }
        self.text.is_ascii()
    }

    /// The same for a line that may have text of people in it.
    pub(crate) fn is_bounded(&self, findings: &mut Findings) -> bool {
        let finding = if self.text.contains('\0') {
            ("E-BINARY", "NUL in a line")
        } else if self.text.chars().count() > MAX_LINE {
            ("E-LONG", "line is longer than 1,000 characters")
        } else {
            return true;
        };
        findings.error(self.number, finding.0, finding.1);
        false
    }
}

/// The data lines. `;` and `'` begin a comment (SEED-011); `#` never does.
pub(crate) fn data_lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    all_lines(text).filter(|line| !line.text.starts_with([';', '\'']))
}

/// The lines that are not blank, of a text that has no comments.
pub(crate) fn all_lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        // A leading TAB is an empty first field, so only blanks go.
        let text = line.trim_end().trim_start_matches(' ');
        (!text.is_empty()).then_some(Line { number, text })
    })
}

/// The data lines that are also clean.
pub(crate) fn clean_lines<'a>(text: &'a str, findings: &mut Findings) -> Vec<Line<'a>> {
    data_lines(text).filter(|line| line.is_clean(findings)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::DocumentName;

    #[test]
    fn comments_blanks_and_line_ends() {
        let text = "\u{feff}a\r\n\r\n; no\n  ' no\n b \n\tc\n# data";
        let lines: Vec<(u32, &str)> = data_lines(text).map(|line| (line.number, line.text)).collect();
        assert_eq!(lines, [(1, "a"), (5, "b"), (6, "\tc"), (7, "# data")]);
    }

    #[test]
    fn what_no_document_may_contain() {
        let text = format!("a\0b\n{}\ndomain３.jp\n; 対象ドメイン\nok", "x".repeat(1001));
        let mut findings = Findings::new(DocumentName::Hosts);
        assert_eq!(clean_lines(&text, &mut findings), [Line { number: 5, text: "ok" }]);
        let found: Vec<(u32, &str)> =
            findings.into_problems().iter().map(|problem| (problem.line, problem.code)).collect();
        assert_eq!(found, [(1, "E-BINARY"), (2, "E-LONG"), (3, "E-NONASCII")]);
    }
}
