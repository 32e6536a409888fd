//! `XCLIENT`: a proxy or filter in front of us says who its client is. The attributes and their spelling
//! are those of Postfix.

use std::net::IpAddr;

use hikyaku_types::reporting::from_xtext;

/// What our reply to `EHLO` says that we read.
pub const ATTRIBUTES: &str = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";

/// What decides about mail. The other attributes are read and have no meaning here: who was named says EHLO
/// for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// ADDR, if it was given.
    pub address: Option<NamedAddress>,
    /// LOGIN: who the client has proved to be, to the peer.
    pub login: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedAddress {
    Known(IpAddr),
    /// The peer does not know it either.
    Unavailable,
}

/// `None`: an attribute that is not known, or a value that cannot be.
pub fn parse(argument: &[u8]) -> Option<Named> {
    let text = str::from_utf8(argument).ok().filter(|text| !text.is_empty())?;
    let mut named = Named::default();
    for word in text.split_ascii_whitespace() {
        let (attribute, value) = word.split_once('=')?;
        let attribute = attribute.to_ascii_uppercase();
        let value = from_xtext(value)?;
        let is_unavailable =
            ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|no| value.eq_ignore_ascii_case(no));
        match attribute.as_str() {
            "ADDR" if is_unavailable => named.address = Some(NamedAddress::Unavailable),
            "ADDR" => named.address = Some(NamedAddress::Known(address(&value)?)),
            "LOGIN" => named.login = Some(value).filter(|value| !is_unavailable && !value.is_empty()),
            known if ATTRIBUTES.split(' ').any(|name| name == known) => {}
            _ => return None,
        }
    }
    Some(named)
}

/// RFC 5321 4.1.3 writes `IPV6:` in front; some peers do not.
fn address(value: &str) -> Option<IpAddr> {
    let is_tagged = value.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPV6:"));
    let address: IpAddr = value[if is_tagged { 5 } else { 0 }..].parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_and_what_is_none_is_refused() {
        let known = |text: &str| Some(NamedAddress::Known(text.parse().unwrap()));
        let cases = [
            ("ADDR=192.0.2.9", known("192.0.2.9"), None),
            ("addr=192.0.2.9 name=[UNAVAILABLE] PORT=99", known("192.0.2.9"), None),
            ("ADDR=IPV6:2001:db8::1", known("2001:db8::1"), None),
            ("ADDR=ipv6:::ffff:192.0.2.9", known("192.0.2.9"), None),
            ("ADDR=2001:db8::1 LOGIN=a+2Bb@own.example", known("2001:db8::1"), Some("a+b@own.example")),
            ("ADDR=[unavailable]", Some(NamedAddress::Unavailable), None),
            ("NAME=spike PROTO=ESMTP HELO=x+20y DESTADDR=192.0.2.1 DESTPORT=25", None, None),
            ("LOGIN=[UNAVAILABLE]", None, None),
            ("LOGIN=", None, None),
        ];
        for (text, address, login) in cases {
            let named = Named { address, login: login.map(str::to_owned) };
            assert_eq!(parse(text.as_bytes()), Some(named), "{text}");
        }
        for text in [
            "",
            "ADDR",
            "ADDR=",
            "ADDR=host",
            "ADDR=192.0.2.9:25",
            "WHO=me",
            "ADDR=+zz",
            "\u{fc}=1",
            "ADDR=\u{fc}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
