//! The octets of our commands, and what of a message a server must be able to take.

use std::fmt::Write as _;

use hikyaku_types::{
    address::{Mailbox, ReversePath},
    reply::EnhancedCode,
};

use super::delivery::Delivery;
use crate::wire::ehlo::{Capabilities, Size};

/// What the server lacks: RFC 3463 status and words. `None`: it can take the message.
pub(crate) fn unsupported(delivery: &Delivery, offer: Capabilities) -> Option<(EnhancedCode, String)> {
    if let Size::AtMost(limit) = offer.size
        && delivery.size > limit
    {
        // RFC 1870 6.2: not even tried.
        let words = format!("message of {} octets exceeds the server's limit of {limit}", delivery.size);
        return Some((EnhancedCode(5, 3, 4), words));
    }
    if !offer.smtputf8 && needs_smtputf8(delivery) {
        return Some((EnhancedCode(5, 6, 7), "message needs SMTPUTF8, which the server lacks".to_owned()));
    }
    None
}

/// RFC 6531 3.2: declared by the client is not yet needed; an address or the header decides.
fn needs_smtputf8(delivery: &Delivery) -> bool {
    addresses_need_smtputf8(delivery)
        || (delivery.transfer.smtputf8 && !header_is_ascii(delivery.content.iter().map(|chunk| &chunk[..])))
}

fn addresses_need_smtputf8(delivery: &Delivery) -> bool {
    let sender = match &delivery.reverse_path {
        ReversePath::Null => false,
        ReversePath::Mailbox(mailbox) => mailbox.needs_smtputf8(),
    };
    sender || delivery.recipients.iter().any(Mailbox::needs_smtputf8)
}

/// The header ends with the first empty line, wherever the chunks are cut.
fn header_is_ascii<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut at_line_start = true;
    for octet in chunks.flatten() {
        match octet {
            b'\n' if at_line_start => return true,
            b'\n' => at_line_start = true,
            b'\r' => {}
            octet if !octet.is_ascii() => return false,
            _ => at_line_start = false,
        }
    }
    true
}

pub(crate) fn mail(delivery: &Delivery, offer: Capabilities, out: &mut String) {
    let _ = write!(out, "MAIL FROM:<{}>", delivery.reverse_path);
    if offer.size != Size::NotOffered {
        let _ = write!(out, " SIZE={}", delivery.size);
    }
    if offer.eight_bit_mime && delivery.transfer.eight_bit_mime {
        out.push_str(" BODY=8BITMIME");
    }
    if offer.smtputf8 && (delivery.transfer.smtputf8 || addresses_need_smtputf8(delivery)) {
        out.push_str(" SMTPUTF8");
    }
    out.push_str("\r\n");
}

pub(crate) fn rcpt(recipient: &Mailbox, out: &mut String) {
    let _ = write!(out, "RCPT TO:<{recipient}>\r\n");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hikyaku_types::envelope::Transfer;

    use super::*;

    fn delivery(sender: &str, transfer: Transfer, content: &'static str) -> Delivery {
        Delivery {
            reverse_path: sender.parse().unwrap(),
            recipients: vec!["b@own.example".parse().unwrap()],
            transfer,
            content: vec![Bytes::from_static(content.as_bytes())],
            size: content.len() as u64,
        }
    }

    const ALL: Capabilities = Capabilities {
        pipelining: true,
        size: Size::AtMost(100),
        eight_bit_mime: true,
        smtputf8: true,
        enhanced_status_codes: true,
        starttls: false,
    };
    const BOTH: Transfer = Transfer { eight_bit_mime: true, smtputf8: true };
    const NEITHER: Transfer = Transfer { eight_bit_mime: false, smtputf8: false };

    #[test]
    fn parameters_are_said_only_where_they_are_offered() {
        for (sender, transfer, offer, expected) in [
            ("a@c.example", NEITHER, Capabilities::default(), "MAIL FROM:<a@c.example>\r\n"),
            ("", NEITHER, ALL, "MAIL FROM:<> SIZE=3\r\n"),
            ("a@c.example", BOTH, Capabilities::default(), "MAIL FROM:<a@c.example>\r\n"),
            ("a@c.example", BOTH, ALL, "MAIL FROM:<a@c.example> SIZE=3 BODY=8BITMIME SMTPUTF8\r\n"),
        ] {
            let mut out = String::new();
            mail(&delivery(sender, transfer, "x\r\n"), offer, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn what_a_server_cannot_take() {
        let status = |sender, transfer, content, offer| {
            unsupported(&delivery(sender, transfer, content), offer).map(|(status, _)| status)
        };
        let plain = Capabilities::default();
        let utf8 = Some(EnhancedCode(5, 6, 7));
        assert_eq!(status("a@c.example", NEITHER, "x\r\n", plain), None);
        assert_eq!(status("用户@c.example", BOTH, "x\r\n", plain), utf8);
        assert_eq!(status("用户@c.example", BOTH, "x\r\n", ALL), None);
        assert_eq!(status("a@c.example", BOTH, "A: ü\r\n\r\n", plain), utf8);
        assert_eq!(
            status("a@c.example", BOTH, "A: u\r\n\r\nü\r\n", plain),
            None,
            "an ASCII header needs nothing"
        );
        assert_eq!(status("a@c.example", NEITHER, "A: ü\r\n\r\n", plain), None, "passed on as it came");
        let small = Capabilities { size: Size::AtMost(2), ..ALL };
        assert_eq!(status("a@c.example", NEITHER, "x\r\n", small), Some(EnhancedCode(5, 3, 4)));
    }
}
