//! When two spellings are one address: neither case nor needless quotes in the local part tell two apart.

use hikyaku_types::{address::Mailbox, domain::Domain};

/// An address as tables find it: its [`canonical`] local part, then its domain.
pub(crate) type AddressKey = (Box<str>, Domain);

/// None for an address literal: no document names one.
pub(crate) fn address_key(mailbox: &Mailbox) -> Option<AddressKey> {
    Some((canonical(mailbox.local_part()), mailbox.domain()?.clone()))
}

/// True when both name the same mailbox.
pub(crate) fn is_same(a: &Mailbox, b: &Mailbox) -> bool {
    a.host() == b.host() && canonical(a.local_part()) == canonical(b.local_part())
}

/// The one spelling of an address that others are compared with.
pub(crate) fn canonical_address(mailbox: &Mailbox) -> String {
    format!("{}@{}", canonical(mailbox.local_part()), mailbox.host())
}

/// The address in that spelling: with quotes only where it cannot be without.
pub(crate) fn canonical_mailbox(mailbox: &Mailbox) -> Mailbox {
    let local_part = canonical(mailbox.local_part());
    let quoted = || local_part.replace('\\', "\\\\").replace('"', "\\\"");
    Mailbox::new(&local_part, mailbox.host().clone())
        .or_else(|_| Mailbox::new(&format!("\"{}\"", quoted()), mailbox.host().clone()))
        .unwrap_or_else(|_| mailbox.clone())
}

/// RFC 5321 4.1.2: `"a"` and `a` are the same local part. Case is folded because no
/// administrator tells user1 from User1 (spec.md 4.5, E-AC-DUP).
pub(crate) fn canonical(local_part: &str) -> Box<str> {
    let quoted = local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else { return local_part.to_lowercase().into() };
    let mut plain = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        let meant = if c == '\\' { chars.next().unwrap_or(c) } else { c };
        plain.extend(meant.to_lowercase());
    }
    plain.into()
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
            ("\"a\\\"b\"@d.jp", "\"a\\\"b\"@d.jp"),
            ("\"a@b\"@d.jp", "\"a@b\"@d.jp"),
        ] {
            assert_eq!(canonical_mailbox(&written.parse().unwrap()).to_string(), spelled, "{written}");
        }
    }
}
