//! The octets of our commands, and what of a message a server must be able to take.

use std::fmt::Write as _;

use hikyaku_types::{address::ReversePath, envelope::BodyKind, reply::EnhancedCode};

use super::delivery::{Delivery, DeliveryRecipient};
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
    let takes_binary = offer.chunking && offer.binary_mime;
    if delivery.transfer.body == BodyKind::BinaryMime && !takes_binary {
        // RFC 3030 3: nothing is converted.
        let words = "message needs CHUNKING and BINARYMIME, which the server lacks";
        return Some((EnhancedCode(5, 6, 3), words.to_owned()));
    }
    if delivery.transfer.require_tls && !offer.require_tls {
        // RFC 8689 4.2.1.
        let words = "message needs REQUIRETLS, which the server lacks";
        return Some((EnhancedCode(5, 7, 30), words.to_owned()));
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
    sender || delivery.recipients.iter().any(|recipient| recipient.address.needs_smtputf8())
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
    match delivery.transfer.body {
        BodyKind::SevenBit => {}
        BodyKind::EightBitMime if !offer.eight_bit_mime => {}
        BodyKind::EightBitMime => out.push_str(" BODY=8BITMIME"),
        BodyKind::BinaryMime => out.push_str(" BODY=BINARYMIME"),
    }
    if says_smtputf8(delivery, offer) {
        out.push_str(" SMTPUTF8");
    }
    if delivery.transfer.require_tls {
        out.push_str(" REQUIRETLS");
    }
    if offer.dsn {
        if let Some(ret) = delivery.transfer.ret {
            let _ = write!(out, " RET={ret}");
        }
        if let Some(id) = &delivery.transfer.envelope_id {
            let _ = write!(out, " ENVID={id}");
        }
    }
    out.push_str("\r\n");
}

fn says_smtputf8(delivery: &Delivery, offer: Capabilities) -> bool {
    offer.smtputf8 && (delivery.transfer.smtputf8 || addresses_need_smtputf8(delivery))
}

/// RFC 3461 5.2.1: what the client said about reports goes on unchanged, and what it did not say
/// stays unsaid.
pub(crate) fn rcpt(
    delivery: &Delivery,
    recipient: &DeliveryRecipient,
    offer: Capabilities,
    out: &mut String,
) {
    let _ = write!(out, "RCPT TO:<{}>", recipient.address);
    if offer.dsn {
        if let Some(notify) = recipient.reporting.notify {
            let _ = write!(out, " NOTIFY={notify}");
        }
        match &recipient.reporting.original_recipient {
            Some(original) if original.is_ascii() || says_smtputf8(delivery, offer) => {
                let _ = write!(out, " ORCPT={original}");
            }
            Some(original) => _ = write!(out, " ORCPT={}", original.ascii()),
            None => {}
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hikyaku_types::envelope::Transfer;

    use super::*;
    use crate::wire::ehlo::{AuthOffer, Limits};

    fn delivery(sender: &str, transfer: Transfer, content: &'static str) -> Delivery {
        Delivery {
            reverse_path: sender.parse().unwrap(),
            recipients: vec![to("")],
            transfer,
            content: vec![Bytes::from_static(content.as_bytes())],
            size: content.len() as u64,
        }
    }

    /// A recipient with the parameters that a client wrote.
    fn to(parameters: &str) -> DeliveryRecipient {
        let reporting = crate::wire::parameters::of_rcpt(parameters.as_bytes(), true).unwrap();
        DeliveryRecipient { address: "b@own.example".parse().unwrap(), reporting }
    }

    const ALL: Capabilities = Capabilities {
        pipelining: true,
        size: Size::AtMost(100),
        eight_bit_mime: true,
        smtputf8: true,
        enhanced_status_codes: true,
        dsn: true,
        starttls: false,
        auth: AuthOffer { cram_md5: false, plain: false, login: false, xoauth2: false },
        chunking: true,
        binary_mime: true,
        limits: Limits { transactions: None, recipients: None },
        require_tls: true,
    };
    const BOTH: Transfer = Transfer { body: BodyKind::EightBitMime, smtputf8: true, ..Transfer::PLAIN };
    const NEITHER: Transfer = Transfer::PLAIN;
    const STRICT: Transfer = Transfer { require_tls: true, ..Transfer::PLAIN };
    const BINARY: Transfer = Transfer { body: BodyKind::BinaryMime, ..Transfer::PLAIN };

    #[test]
    fn what_was_asked_for_is_passed_on_unchanged() {
        let asking =
            Transfer { ret: "HDRS".parse().ok(), envelope_id: "QQ+2B1".parse().ok(), ..Transfer::PLAIN };
        let plain = Capabilities { dsn: true, ..Capabilities::default() };
        for (transfer, parameters, offer, expected) in [
            (
                asking.clone(),
                " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.example",
                plain,
                "MAIL FROM:<a@c.example> RET=HDRS ENVID=QQ+2B1\r\n\
                 RCPT TO:<b@own.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.example\r\n",
            ),
            (
                asking,
                " NOTIFY=NEVER ORCPT=rfc822;a@c.example",
                Capabilities::default(),
                "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@own.example>\r\n",
            ),
            (NEITHER, "", plain, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@own.example>\r\n"),
            (
                NEITHER,
                " NOTIFY=NEVER",
                plain,
                "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@own.example> NOTIFY=NEVER\r\n",
            ),
            (
                NEITHER,
                " ORCPT=utf-8;\u{7528}@c.example",
                plain,
                "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@own.example> ORCPT=utf-8;\\x{7528}@c.example\r\n",
            ),
            (
                BOTH,
                " ORCPT=utf-8;\u{7528}@c.example",
                ALL,
                "MAIL FROM:<a@c.example> SIZE=3 BODY=8BITMIME SMTPUTF8\r\n\
                 RCPT TO:<b@own.example> ORCPT=utf-8;\u{7528}@c.example\r\n",
            ),
        ] {
            let delivery = delivery("a@c.example", transfer, "x\r\n");
            let mut out = String::new();
            mail(&delivery, offer, &mut out);
            rcpt(&delivery, &to(parameters), offer, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn parameters_are_said_only_where_they_are_offered() {
        for (sender, transfer, offer, expected) in [
            ("a@c.example", NEITHER, Capabilities::default(), "MAIL FROM:<a@c.example>\r\n"),
            ("", NEITHER, ALL, "MAIL FROM:<> SIZE=3\r\n"),
            ("a@c.example", BOTH, Capabilities::default(), "MAIL FROM:<a@c.example>\r\n"),
            ("a@c.example", BOTH, ALL, "MAIL FROM:<a@c.example> SIZE=3 BODY=8BITMIME SMTPUTF8\r\n"),
            ("a@c.example", STRICT, ALL, "MAIL FROM:<a@c.example> SIZE=3 REQUIRETLS\r\n"),
            ("a@c.example", BINARY, ALL, "MAIL FROM:<a@c.example> SIZE=3 BODY=BINARYMIME\r\n"),
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
        let lacking = Some(EnhancedCode(5, 6, 3));
        for (chunking, binary_mime, expected) in
            [(false, false, lacking), (true, false, lacking), (false, true, lacking), (true, true, None)]
        {
            let offer = Capabilities { chunking, binary_mime, ..ALL };
            assert_eq!(status("a@c.example", BINARY, "x\r\n", offer), expected);
        }
        assert_eq!(status("a@c.example", STRICT, "x\r\n", ALL), None);
        let careless = Capabilities { require_tls: false, ..ALL };
        assert_eq!(status("a@c.example", STRICT, "x\r\n", careless), Some(EnhancedCode(5, 7, 30)));
        let small = Capabilities { size: Size::AtMost(2), ..ALL };
        assert_eq!(status("a@c.example", NEITHER, "x\r\n", small), Some(EnhancedCode(5, 3, 4)));
    }
}
