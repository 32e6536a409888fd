//! Text of others as fields and lines of ours: it can neither add a field nor make a line too long.

/// On one line, so that it cannot add fields.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// RFC 5322 2.1.1 allows 998 octets a line; a character has at most four.
const MAX_LINE_CHARS: usize = 240;

/// The lines of a reply as a folded field.
pub(super) fn fold(text: &str) -> String {
    let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    lines.map(|line| cut(&one_line(line), "\r\n\t")).collect::<Vec<_>>().join("\r\n\t")
}

/// A text in pieces that fit a line.
pub(crate) fn cut(text: &str, between: &str) -> String {
    let mut pieces = String::new();
    for (index, c) in text.chars().enumerate() {
        if index > 0 && index % MAX_LINE_CHARS == 0 {
            pieces.push_str(between);
        }
        pieces.push(c);
    }
    pieces
}
