use std::time::Duration;

use bytes::Bytes;
use hikyaku_smtp::server::Content;
use hikyaku_types::{
    envelope::{BodyKind, Transfer},
    reporting::Reporting,
};

use super::*;

const CONTENT: &[u8] = b"X-Relay: forged From <ceo@bank.example>\r\nSubject: \xe9\r\n\r\n.body\r\n";

fn recipient(forward_path: &str, deliver_to: &str, destination: &str) -> Addressee {
    let accepted = AcceptedRecipient {
        forward_path: forward_path.parse().unwrap(),
        deliver_to: deliver_to.parse().unwrap(),
        destination: destination.parse().unwrap(),
    };
    Addressee { accepted, reporting: Reporting::default() }
}

fn transaction(recipients: Vec<Addressee>) -> Transaction {
    Transaction {
        client_name: "client.example".to_owned(),
        protocol: Protocol::Esmtp,
        is_secure: false,
        identity: None,
        reverse_path: "info@example.com".parse().unwrap(),
        transfer: Transfer { body: BodyKind::EightBitMime, ..Transfer::PLAIN },
        recipients,
        content: Content::from(CONTENT),
    }
}

fn accept(transaction: Transaction, is_trusted: bool) -> Vec<Envelope> {
    accept_at(Listener::Relay, transaction, is_trusted, false)
}

fn accept_at(
    listener: Listener,
    transaction: Transaction,
    is_trusted: bool,
    hide_submission_client: bool,
) -> Vec<Envelope> {
    let config =
        IngressConfig { hide_submission_client, ..IngressConfig::new("gw.example".parse().unwrap()) };
    let client = IpAddr::from([192, 168, 0, 50]);
    let visit = Visit::begin(client, None, listener);
    let arrival = Arrival {
        visit: &visit,
        tls: "none",
        client,
        listener,
        is_trusted,
        admitted_by: &"access:1".into(),
        max_received: 100,
        lane: Lane::Fresh,
        config: &config,
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_763_000_000);
    envelopes(transaction, &arrival, QueueId::new(0, 0), now).unwrap()
}

fn content(envelope: &Envelope) -> &Bytes {
    match &envelope.body {
        Body::Inline(content) => content,
        Body::Stored(stored) => panic!("{stored:?}"),
    }
}

fn addresses(envelope: &Envelope) -> Vec<String> {
    envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect()
}

#[test]
fn one_envelope_for_each_next_hop() {
    let envelopes = accept(
        transaction(vec![
            recipient("a@one.example", "a@one.example", "one.example"),
            recipient("b@own.example", "b@own.example", "[192.0.2.1]:25"),
            recipient("c@one.example", "c@one.example", "one.example"),
            recipient("d@two.example", "d@two.example", "[192.0.2.1]:25"),
        ]),
        false,
    );
    assert_eq!(envelopes.len(), 2);
    assert_eq!(envelopes[0].destination.to_string(), "one.example");
    assert_eq!(addresses(&envelopes[0]), ["a@one.example", "c@one.example"]);
    assert_eq!(addresses(&envelopes[1]), ["b@own.example", "d@two.example"]);
    assert_eq!(envelopes[0].entry, QueueId::new(0, 0).entry(0));
    assert_eq!(envelopes[1].entry, QueueId::new(0, 0).entry(1));
    assert_eq!(content(&envelopes[0]).as_ptr(), content(&envelopes[1]).as_ptr(), "the content is shared");
}

/// SEED-046: aliases c@, d@ -> f@ are one delivery; what the client wrote is kept for reports.
#[test]
fn aliases_of_one_mailbox_are_one_recipient() {
    let envelopes = accept(
        transaction(vec![
            recipient("c@own.example", "f@own.example", "own.example"),
            recipient("d@own.example", "f@own.example", "own.example"),
            recipient("f@own.example", "f@own.example", "own.example"),
            recipient("postmaster", "admin@own.example", "own.example"),
        ]),
        false,
    );
    assert_eq!(addresses(&envelopes[0]), ["f@own.example", "admin@own.example"]);
    let originals: Vec<_> =
        envelopes[0].recipients.iter().map(|recipient| recipient.original.as_deref()).collect();
    assert_eq!(originals, [Some("c@own.example"), Some("postmaster")]);
}

/// RFC 3461: nothing that was asked for gets lost when recipients become one.
#[test]
fn what_is_to_be_reported_goes_into_the_queue() {
    let asking = |from: &str, notify: &str, original: &str| Addressee {
        reporting: Reporting { notify: notify.parse().ok(), original_recipient: original.parse().ok() },
        ..recipient(from, "f@own.example", "own.example")
    };
    let mut transaction = transaction(vec![
        asking("c@own.example", "NEVER", ""),
        asking("d@own.example", "SUCCESS", "rfc822;d@list.example"),
        recipient("g@own.example", "g@own.example", "own.example"),
    ]);
    transaction.transfer.envelope_id = "QQ1".parse().ok();
    let envelope = accept(transaction, false).remove(0);
    assert_eq!(envelope.transfer.envelope_id, "QQ1".parse().ok());
    let [one, other] = &envelope.recipients[..] else { panic!() };
    let both = Reporting {
        notify: "SUCCESS".parse().ok(),
        original_recipient: "rfc822;d@list.example".parse().ok(),
    };
    assert_eq!((&one.reporting, &other.reporting), (&both, &Reporting::default()));
}

#[test]
fn an_address_that_no_alias_changed_has_no_original() {
    let envelopes =
        accept(transaction(vec![recipient("A@Own.Example", "A@own.example", "own.example")]), false);
    assert_eq!(envelopes[0].recipients[0].original, None);
}

/// SEED-096 and SEED-097: Received, X-Relay, then every byte that came.
#[test]
fn our_fields_stand_above_the_original_header() {
    let one = || transaction(vec![recipient("x@example.net", "x@example.net", "example.net")]);
    let received = "Received: from client.example ([192.168.0.50])\r\n\
                    \tby gw.example with ESMTP id 00000000000000000000000000\r\n\
                    \tfor <x@example.net>;\r\n\
                    \tThu, 13 Nov 2025 02:13:20 +0000\r\n";
    let envelopes = accept(one(), true);
    let relay = "X-Relay: gw.example From <info@example.com>\r\n";
    assert_eq!(content(&envelopes[0]), &[received.as_bytes(), relay.as_bytes(), CONTENT].concat());
    assert_eq!(content(&accept(one(), false)[0]), &[received.as_bytes(), CONTENT].concat());
}

/// Scenario 5: no X-Relay for authenticated mail, also of a client that may relay; SEED-097: what
/// a submitted message lacks is added.
#[test]
fn submitted_mail() {
    let one = || Transaction {
        is_secure: true,
        identity: "info@example.com".parse().ok(),
        ..transaction(vec![recipient("x@example.net", "x@example.net", "example.net")])
    };
    let received = |from: &str| {
        format!(
            "Received: from {from}\r\n\tby gw.example with ESMTPSA id 00000000000000000000000000\r\n\
             \tfor <x@example.net>;\r\n\tThu, 13 Nov 2025 02:13:20 +0000\r\n"
        )
    };
    let added = "Date: Thu, 13 Nov 2025 02:13:20 +0000\r\n\
                 Message-ID: <00000000000000000000000000@gw.example>\r\n";
    for (listener, hidden, from, added) in [
        (Listener::Submission, false, "client.example ([192.168.0.50])", added),
        (Listener::Submission, true, "unknown (client not shown)", added),
        (Listener::Relay, false, "client.example ([192.168.0.50])", ""),
    ] {
        let envelopes = accept_at(listener, one(), true, hidden);
        let expected = [received(from).as_bytes(), added.as_bytes(), CONTENT].concat();
        assert_eq!(content(&envelopes[0]), &expected, "{listener:?} {hidden}");
    }
    // Who is not authenticated is not hidden.
    let plain = transaction(vec![recipient("x@example.net", "x@example.net", "example.net")]);
    let envelopes = accept_at(Listener::Relay, plain, true, true);
    assert!(content(&envelopes[0]).starts_with(b"Received: from client.example ([192.168.0.50])\r\n"));
}

/// RFC 5321 7.2: recipients do not learn of each other.
#[test]
fn several_recipients_are_not_named() {
    let envelopes = accept(
        transaction(vec![
            recipient("a@one.example", "a@one.example", "one.example"),
            recipient("b@two.example", "b@two.example", "two.example"),
        ]),
        false,
    );
    assert!(!content(&envelopes[0]).windows(6).any(|text| text == b"\tfor <"));
}
