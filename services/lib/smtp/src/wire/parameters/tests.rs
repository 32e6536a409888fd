use hikyaku_types::reporting::{Notify, Return};

use super::*;

const AUTH: Allowed = Allowed { smtputf8: false, requiretls: false, xclient: false, auth: true };

#[test]
fn of_mail_table() {
    let with = |size, eight_bit_mime, smtputf8| {
        let body = if eight_bit_mime { BodyKind::EightBitMime } else { BodyKind::SevenBit };
        Ok(MailParameters { size, transfer: Transfer { body, smtputf8, ..Transfer::PLAIN } })
    };
    let binary = Transfer { body: BodyKind::BinaryMime, ..Transfer::PLAIN };
    let asking = |ret, envelope_id: Option<&str>| {
        let envelope_id = envelope_id.map(|id| id.parse().unwrap());
        Ok(MailParameters { size: None, transfer: Transfer { ret, envelope_id, ..Transfer::PLAIN } })
    };
    for (rest, expected) in [
        ("", with(None, false, false)),
        ("  ", with(None, false, false)),
        (" SIZE=1000", with(Some(1000), false, false)),
        (" size=0  body=8bitmime smtputf8", with(Some(0), true, true)),
        (" BODY=7BIT", with(None, false, false)),
        (" SIZE=99999999999999999999", with(Some(u64::MAX), false, false)),
        (" RET=HDRS", asking(Some(Return::Headers), None)),
        (" ret=full envid=QQ+2B1", asking(Some(Return::Full), Some("QQ+2B1"))),
        (" SIZE", Err(CommandError::Arguments)),
        (" SIZE=", Err(CommandError::Arguments)),
        (" SIZE=-1", Err(CommandError::Arguments)),
        (" SIZE=+1", Err(CommandError::Arguments)),
        (" SIZE=1 SIZE=2", Err(CommandError::Arguments)),
        (" SIZE=111111111111111111111", Err(CommandError::Arguments)),
        (" BODY", Err(CommandError::Arguments)),
        (" BODY=7BIT BODY=7BIT", Err(CommandError::Arguments)),
        (" body=BinaryMime", Ok(MailParameters { size: None, transfer: binary })),
        (" BODY=BINARY", Err(CommandError::Parameter)),
        (" SMTPUTF8=1", Err(CommandError::Arguments)),
        (" RET", Err(CommandError::Arguments)),
        (" RET=", Err(CommandError::Arguments)),
        (" RET=ALL", Err(CommandError::Arguments)),
        (" RET=FULL RET=FULL", Err(CommandError::Arguments)),
        (" ENVID", Err(CommandError::Arguments)),
        (" ENVID=", Err(CommandError::Arguments)),
        (" ENVID=a+0D+0Ab", Err(CommandError::Arguments)),
        (" ENVID=\u{e9}", Err(CommandError::Arguments)),
        (" ENVID=a ENVID=a", Err(CommandError::Arguments)),
        (" NOTIFY=NEVER", Err(CommandError::Parameter)),
        (" AUTH=<>", Err(CommandError::Parameter)),
        (" =x", Err(CommandError::Arguments)),
        (" <b@c>", Err(CommandError::Arguments)),
    ] {
        assert_eq!(of_mail(rest.as_bytes(), Allowed::default()), expected, "{rest:?}");
    }
}

/// RFC 4954 5: where AUTH is offered.
#[test]
fn whom_another_server_says_it_is_from() {
    for (rest, expected) in [
        (" AUTH=<>", Ok(MailParameters::default())),
        (" auth=e+3Dmc2@example.com", Ok(MailParameters::default())),
        (" AUTH=<> AUTH=<>", Err(CommandError::Arguments)),
        (" AUTH", Err(CommandError::Arguments)),
        (" AUTH=", Err(CommandError::Arguments)),
        (" AUTH=nobody", Err(CommandError::Arguments)),
        (" AUTH=a+0D@example.com", Err(CommandError::Arguments)),
    ] {
        assert_eq!(of_mail(rest.as_bytes(), AUTH), expected, "{rest:?}");
    }
}

#[test]
fn of_rcpt_table() {
    let notify = |notify| Reporting { notify: Some(notify), original_recipient: None };
    let original = |text: &str| Reporting { notify: None, original_recipient: text.parse().ok() };
    for (rest, expected) in [
        ("", Ok(Reporting::default())),
        (" NOTIFY=NEVER", Ok(notify(Notify::NEVER))),
        (" notify=success,delay", Ok(notify(Notify { success: true, failure: false, delay: true }))),
        (" ORCPT=rfc822;b+2Bc@d.example", Ok(original("rfc822;b+2Bc@d.example"))),
        (
            " ORCPT=rfc822;b@d.example NOTIFY=FAILURE",
            Ok(Reporting {
                notify: "FAILURE".parse().ok(),
                original_recipient: "rfc822;b@d.example".parse().ok(),
            }),
        ),
        (" NOTIFY", Err(CommandError::Arguments)),
        (" NOTIFY=", Err(CommandError::Arguments)),
        (" NOTIFY=NEVER,DELAY", Err(CommandError::Arguments)),
        (" NOTIFY=OFTEN", Err(CommandError::Arguments)),
        (" NOTIFY=DELAY NOTIFY=DELAY", Err(CommandError::Arguments)),
        (" ORCPT=", Err(CommandError::Arguments)),
        (" ORCPT=b@d.example", Err(CommandError::Arguments)),
        (" ORCPT=rfc822;b+zz", Err(CommandError::Arguments)),
        (" ORCPT=rfc822;b ORCPT=rfc822;b", Err(CommandError::Arguments)),
        (" ORCPT=utf-8;\u{7528}@d.example", Err(CommandError::Arguments)),
        (" RET=FULL", Err(CommandError::Parameter)),
        (" SIZE=1", Err(CommandError::Parameter)),
    ] {
        assert_eq!(of_rcpt(rest.as_bytes(), false), expected, "{rest:?}");
    }
    let declared = of_rcpt(" ORCPT=utf-8;\u{7528}@d.example".as_bytes(), true);
    assert_eq!(declared, Ok(original("utf-8;\u{7528}@d.example")));
    // As Postfix 3.7 writes it.
    let octets = b" ORCPT=rfc822;+E7+94+A8@d.example";
    assert_eq!(of_rcpt(octets, true), Ok(original("utf-8;\\x{7528}@d.example")));
    assert_eq!(of_rcpt(octets, false), Err(CommandError::Arguments));
}

/// RFC 8689 3: only over TLS, where it is offered.
#[test]
fn what_must_stay_protected() {
    let offered = Allowed { requiretls: true, ..Allowed::default() };
    let strict = Transfer { require_tls: true, ..Transfer::PLAIN };
    for (rest, expected) in [
        (" REQUIRETLS", Ok(MailParameters { size: None, transfer: strict })),
        (" requiretls=yes", Err(CommandError::Arguments)),
        (" REQUIRETLS REQUIRETLS", Err(CommandError::Arguments)),
    ] {
        assert_eq!(of_mail(rest.as_bytes(), offered), expected, "{rest:?}");
        assert_eq!(of_mail(rest.as_bytes(), Allowed::default()), Err(CommandError::Parameter), "{rest:?}");
    }
}
