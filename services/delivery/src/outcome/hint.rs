//! When to come back, in the words of the server that put us off. Greylisting daemons, and some
//! that limit rates, say it in their reply; there is no standard for the words.

use std::time::Duration;

/// Nobody is asked again sooner, whatever it says.
pub(crate) const SHORTEST: Duration = Duration::from_secs(10);
/// Longer than our own longest interval it is no hint.
const LONGEST: Duration = Duration::from_secs(3600);

/// Words that say when the next attempt is welcome: "try again in", "come back in", "wait".
const COME_BACK: [&str; 13] = [
    "try",
    "trying",
    "retry",
    "retrying",
    "again",
    "back",
    "wait",
    "resend",
    "resubmit",
    "reconnect",
    "return",
    "accept",
    "accepted",
];
/// Words that say for how long we are put off, sometimes from the first attempt on.
const PUT_OFF: [&str; 9] = [
    "greylisted",
    "graylisted",
    "greylisting",
    "graylisting",
    "delayed",
    "delaying",
    "deferred",
    "postponed",
    "throttled",
];
const BEFORE_A_TIME: [&str; 4] = ["in", "after", "for", "wait"];
const FILLERS: [&str; 10] =
    ["at", "least", "about", "around", "approximately", "approx", "another", "the", "next", "exactly"];
/// A time stands so close behind the words that introduce it.
const REACH: usize = 3;
/// A bare number below this may be minutes as well.
const LEAST_BARE_SECONDS: u64 = 60;

/// What remains to wait is believed before the length of the whole window.
pub(crate) fn hint(reply_text: &str) -> Option<Duration> {
    let lower = reply_text.to_lowercase();
    let words: Vec<&str> =
        lower.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    let found = time_behind(&words, &COME_BACK).or_else(|| time_behind(&words, &PUT_OFF));
    found.map(|time| time.clamp(SHORTEST, LONGEST))
}

fn time_behind(words: &[&str], cues: &[&str]) -> Option<Duration> {
    words.iter().enumerate().find_map(|(index, word)| {
        let near = words.get(index.saturating_sub(REACH)..=index).unwrap_or_default();
        let introduces = BEFORE_A_TIME.contains(word) && near.iter().any(|word| cues.contains(word));
        // "Retry-After: 300".
        let is_field = *word == "retry-after" && cues.contains(&"retry");
        if introduces || is_field { time(words.get(index + 1..).unwrap_or_default()) } else { None }
    })
}

/// The time that the words begin with.
fn time(words: &[&str]) -> Option<Duration> {
    let fillers = words.iter().take_while(|word| FILLERS.contains(word)).count();
    let words = words.get(fillers..).unwrap_or_default();
    let first = *words.first()?;
    let seconds = clock(first).or_else(|| spelled(words)).or_else(|| {
        let bare: u64 = first.parse().ok()?;
        let has_unit = words
            .get(1)
            .is_some_and(|next| next.starts_with("milli") || matches!(unit(next), Piece::Unit(_)));
        (bare >= LEAST_BARE_SECONDS && !has_unit).then_some(bare)
    })?;
    Some(Duration::from_secs(seconds))
}

/// `00:04:32` or `04:32`.
fn clock(word: &str) -> Option<u64> {
    let mut parts = word.split(':');
    let first = parts.next()?.parse::<u64>().ok()?;
    let mut seconds = None;
    for part in parts {
        let part = part.parse::<u64>().ok().filter(|part| *part < 60)?;
        seconds = Some(seconds.unwrap_or(first).checked_mul(60)?.checked_add(part)?);
    }
    seconds
}

/// `5 minutes`, `5m`, `1h30m`, `4 minutes and 32 seconds`, `an hour`, `5-10 minutes`.
fn spelled(words: &[&str]) -> Option<u64> {
    let (mut total, mut pending): (Option<u64>, Option<u64>) = (None, None);
    for piece in words.iter().flat_map(|word| pieces(word)) {
        match (piece, pending.take()) {
            (Piece::Number(number), None) => pending = Some(number),
            (Piece::Unit(unit), Some(number)) => {
                total = Some(total.unwrap_or(0).checked_add(number.checked_mul(unit)?)?);
            }
            (Piece::And, None) if total.is_some() => {}
            (Piece::Number(_) | Piece::Unit(_) | Piece::And | Piece::Other, _) => break,
        }
    }
    total
}

enum Piece {
    Number(u64),
    /// In seconds.
    Unit(u64),
    And,
    Other,
}

/// `1h30m` is four of them; of `5-10` the longer time counts.
fn pieces(word: &str) -> Vec<Piece> {
    match word {
        "a" | "an" | "one" => return vec![Piece::Number(1)],
        "and" => return vec![Piece::And],
        _ => {}
    }
    let mut pieces = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (piece, behind) = match (digits, letters) {
            (0, 0) if rest.starts_with('-') && matches!(pieces.last(), Some(Piece::Number(_))) => {
                pieces.pop();
                rest = rest.strip_prefix('-').unwrap_or_default();
                continue;
            }
            // "minute(s)": the unit was in front of it.
            (0, 0) if matches!(pieces.last(), Some(Piece::Unit(_))) => break,
            (0, 0) => return vec![Piece::Other],
            (0, _) => (unit(rest.get(..letters).unwrap_or_default()), letters),
            (_, _) => {
                let number = rest.get(..digits).and_then(|number| number.parse().ok());
                (number.map_or(Piece::Other, Piece::Number), digits)
            }
        };
        pieces.push(piece);
        rest = rest.get(behind..).unwrap_or_default();
    }
    pieces
}

fn unit(word: &str) -> Piece {
    match word {
        "s" | "sec" | "secs" | "second" | "seconds" => Piece::Unit(1),
        "m" | "min" | "mins" | "minute" | "minutes" => Piece::Unit(60),
        "h" | "hr" | "hrs" | "hour" | "hours" => Piece::Unit(3600),
        "day" | "days" => Piece::Unit(24 * 3600),
        _ => Piece::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replies as the programs write them, without the codes in front.
    #[test]
    fn what_servers_say() {
        for (text, seconds) in [
            // postgrey with times in its text; sqlgrey; policyd-weight, gld and others like them
            ("<b@x.test>: Recipient address rejected: Greylisted for 300 seconds", 300),
            ("Greylisted for 300 seconds (see http://postgrey.schweikert.ch/help/x.test.html)", 300),
            (
                "<b@x.test>: Recipient address rejected: Greylisted, see http://x.test/9; try again in 293 seconds",
                293,
            ),
            ("<b@x.test>: Recipient address rejected: delayed for 300 seconds", 300),
            ("Greylisted for 5 minutes (1)", 300),
            ("Greylisted for 300 secs, please try again in 293 seconds", 293),
            ("Greylisted for XX sec, please try again in 45 sec.", 45),
            // milter-greylist
            ("Greylisting in action, please come back in 00:04:32", 272),
            ("Greylisting in action, please come back in 01:30:00", 3600),
            ("Greylisting in action, please come back in 00:02:00 [minutes]", 120),
            // Exim with greylistd or its own database
            ("Greylisted. Please try again in 10 minutes.", 600),
            ("Mail from <a@y.test> is greylisted: please try again after 5 minutes", 300),
            // MDaemon, SmarterMail, Stalwart and other products
            ("Greylisting enabled, try again in 15 minutes", 900),
            ("Greylisted, please try again in 900 seconds", 900),
            ("Greylisted, please try again in 5 minute(s)", 300),
            ("Greylisted.\nPlease retry in\n2 mins", 120),
            // limits of rates
            ("Too many messages from 192.0.2.1, please wait 60 seconds", 60),
            ("Rate limited. Retry-After: 120", 120),
            ("retry after 5m", 300),
            ("retry after 1h30m", 3600),
            ("Please retry in 4 minutes and 32 seconds", 272),
            ("Throttled for at least 120s", 120),
            ("try again in an hour", 3600),
            ("please try again in about 5-10 minutes", 600),
            ("Try again after 300", 300),
            ("come back in 04:32", 272),
            ("mail will be accepted after 300 seconds", 300),
            // never sooner, never later
            ("try again in 1 second", 10),
            ("try again in 0 seconds", 10),
            ("try again in 2 days", 3600),
        ] {
            assert_eq!(hint(text), Some(Duration::from_secs(seconds)), "{text:?}");
        }
    }

    #[test]
    fn no_time_is_made_up() {
        for text in [
            "",
            // postgrey, OpenBSD spamd, rspamd, greylistd, hMailServer, Plesk
            "<b@x.test>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/300.html",
            "Temporary failure, please try again later.",
            "Try again later",
            "192.0.2.1 is not yet authorized to deliver mail from <a@y.test> to <b@x.test>. Please try later.",
            "Please try again later.",
            "Service unavailable - try again later",
            "Greylisted, please try again in a few moments.",
            "Greylisting in action, please come back later",
            // Exchange Online, Gmail, Yahoo
            "Server busy. Please try again later from [192.0.2.1]. (S77714) [AM4PEPF00027A65.example]",
            "The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.",
            "[TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints - 4.16.55.1",
            // times that mean something else
            "You sent too many mails from different domains in the last 10 minutes",
            "Too many connections in 60 seconds; try again later",
            "Mailbox is full for 3 days",
            "please try again in 5",
            "try again in 300 milliseconds",
            "try again in 10.0.0.1",
            "try again in 2026-01-02",
            "try again in 99999999999999999999 seconds",
            "try again in 9999999999999999999 hours",
            "retry in :: seconds",
            "in 300 seconds",
        ] {
            assert_eq!(hint(text), None, "{text:?}");
        }
    }

    /// The text is the remote server's: whatever it is, it is read without harm.
    #[test]
    fn odd_text_is_harmless() {
        for word in
            ["in", "wait", "retry-after", "1h", "00:", ":", "-", "5-", "5-5-5", "é", "１", "🕐", "99:99"]
        {
            for other in ["try again in", "wait", "retry after about the next", "", "分後"] {
                let _ = hint(&format!("{other} {word} {other}{word} {word}"));
            }
        }
    }
}
