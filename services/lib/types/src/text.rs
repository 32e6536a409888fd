//! Text on its way to a log or a terminal.

use std::time::SystemTime;

/// RFC 3339 in UTC, to the microsecond: `2026-11-22T08:00:00.123456Z`. Of a time that no calendar has, its end.
pub fn rfc3339(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.6}")
}

/// Whether a character does something instead of being seen: controls, and what turns or hides the text around it
/// (Unicode bidirectional and format characters, line and paragraph separators).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
