//! When two spellings are one address of ours: neither case nor needless quotes in the local part tell two
//! apart. Addresses of others are never changed.

use super::Mailbox;

/// RFC 5321 4.1.2: `"a"` and `a` are the same local part. Case is folded because no
/// administrator tells user1 from User1 (spec.md 4.5, E-AC-DUP).
pub fn canonical_local_part(local_part: &str) -> Box<str> {
    let quoted = local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else { return local_part.chars().flat_map(folded).collect() };
    let mut chars = quoted.chars();
    let meant = std::iter::from_fn(|| match chars.next()? {
        '\\' => Some(chars.next().unwrap_or('\\')),
        c => Some(c),
    });
    meant.flat_map(folded).collect()
}

/// Each character by itself, whatever stands around it (as with a final sigma). One that would become longer stays: a
/// local part has a limit.
fn folded(c: char) -> impl Iterator<Item = char> {
    let grows = c.to_lowercase().map(char::len_utf8).sum::<usize>() > c.len_utf8();
    let kept = grows.then_some(c);
    kept.into_iter().chain(c.to_lowercase().filter(move |_| !grows))
}

impl Mailbox {
    /// The one spelling of an address of ours: with quotes only where it cannot be without.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let local_part = canonical_local_part(self.local_part());
        let escaped = local_part.replace('\\', "\\\\").replace('"', "\\\"");
        // Quotes that are meant would be read as quotes around what is meant.
        let plain = Self::new(&local_part, self.host().clone()).ok().filter(|_| !local_part.starts_with('"'));
        plain
            .or_else(|| Self::new(&format!("\"{escaped}\""), self.host().clone()).ok())
            .unwrap_or_else(|| self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_spelling() {
        for (written, spelled) in [
            ("Ann@D.jp", "ann@d.jp"),
            ("\"ann\"@d.jp", "ann@d.jp"),
            ("\"a\\nn\"@d.jp", "ann@d.jp"),
            ("\"A b\"@d.jp", "\"a b\"@d.jp"),
            ("ÉMILE@d.jp", "émile@d.jp"),
            ("ΑΣ@d.jp", "ασ@d.jp"),
            ("\"ΑΣ\"@d.jp", "ασ@d.jp"),
            ("\"ȺB\"@d.jp", "Ⱥb@d.jp"),
            ("\"a\\\"b\"@d.jp", "\"a\\\"b\"@d.jp"),
            ("\"a@b\"@d.jp", "\"a@b\"@d.jp"),
            ("\"\\\"ann\\\"\"@d.jp", "\"\\\"ann\\\"\"@d.jp"),
            ("\"\\\"\\\"\"@d.jp", "\"\\\"\\\"\"@d.jp"),
        ] {
            let written: Mailbox = written.parse().unwrap();
            assert_eq!(written.canonical().to_string(), spelled, "{written}");
        }
    }
}
