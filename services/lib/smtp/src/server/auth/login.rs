//! A login as the client wrote it to the mailbox that it stands for (SEED-048).

use hikyaku_types::{address::Mailbox, domain::Domain};
use secrecy::SecretString;

/// An identity is always a full address: a bare name is completed by the listener's domain, or
/// is nobody. Refused is also what RFC 4013 forbids, NUL and other control characters among it.
pub(crate) fn complete(written: &str, default_domain: Option<&Domain>) -> Option<Mailbox> {
    let prepared = stringprep::saslprep(written).ok()?;
    match (prepared.contains('@'), default_domain) {
        (true, _) => prepared.parse().ok(),
        (false, Some(domain)) => format!("{prepared}@{domain}").parse().ok(),
        (false, None) => None,
    }
}

/// RFC 4616 2: a password is prepared as it was when it was set, and never empty.
pub(crate) fn password(written: &str) -> Option<SecretString> {
    let prepared = stringprep::saslprep(written).ok()?;
    if prepared.is_empty() { None } else { Some(SecretString::from(prepared.as_ref())) }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn logins() {
        let test_jp: Domain = "test.jp".parse().unwrap();
        for (written, with_default, without) in [
            ("bucho", Some("bucho@test.jp"), None),
            ("info@B.jp", Some("info@b.jp"), Some("info@b.jp")),
            // RFC 4013 3: a soft hyphen is nothing, a compatibility character what it stands for.
            ("I\u{ad}X", Some("IX@test.jp"), None),
            ("\u{aa}", Some("a@test.jp"), None),
            ("用户@b.jp", Some("用户@b.jp"), Some("用户@b.jp")),
            ("", None, None),
            ("@b.jp", None, None),
            ("a b", None, None),
            ("a\0", None, None),
            ("a\u{7}", None, None),
            ("\u{627}1", None, None),
        ] {
            let shown = |domain| complete(written, domain).map(|login| login.to_string());
            assert_eq!(shown(Some(&test_jp)).as_deref(), with_default, "{written:?}");
            assert_eq!(shown(None).as_deref(), without, "{written:?}");
        }
    }

    #[test]
    fn passwords() {
        let shown = |written| password(written).map(|password| password.expose_secret().to_owned());
        assert_eq!(shown("pass word").as_deref(), Some("pass word"));
        assert_eq!(shown("p\u{a0}\u{2168}").as_deref(), Some("p IX"), "as RFC 4013 prepares it");
        for written in ["", "\0", "a\0b", "\u{7f}"] {
            assert_eq!(shown(written), None, "{written:?}");
        }
    }
}
