use super::*;
use hikyaku_types::{
    ids::QueueId,
    outcome::{Cause, Failure, FailureClass, LocalError, LocalErrorKind, Phase, RemoteReply},
    reply::EnhancedCode,
};

/// Those have words and nothing else.
fn of_old_records() -> LocalError {
    LocalError::new(LocalErrorKind::Internal, "connection refused")
}

/// As it was before there were more fields.
fn sample() -> Envelope {
    let failure = |cause| Failure {
        at: UNIX_EPOCH + Duration::new(1_790_000_100, 5),
        phase: Phase::Rcpt,
        class: FailureClass::Temp,
        cause,
        status: EnhancedCode(4, 7, 1),
    };
    let remote = RemoteReply {
        host: "mx.example.org".to_owned(),
        address: "192.0.2.1:25".parse().unwrap(),
        code: 451,
        enhanced: Some(EnhancedCode(4, 7, 1)),
        text: "greylisted\ncome back".to_owned(),
    };
    let recipient = |address: &str, last_failure| Recipient {
        last_failure,
        ..Recipient::new(address.parse().unwrap(), None)
    };
    Envelope {
        entry: QueueId::new(1_790_000_000_000, 42).entry(1),
        destination: "example.org".parse().unwrap(),
        reverse_path: "a@example.net".parse().unwrap(),
        recipients: vec![
            recipient("b@example.org", Some(failure(Cause::Remote(remote)))),
            recipient("c@example.org", Some(failure(Cause::Local(of_old_records())))),
            Recipient { original: Some("info@own.example".to_owned()), ..recipient("d@example.org", None) },
        ],
        body: Body::Inline(Bytes::from_static(b"Subject: x\r\n\r\nbody\r\n")),
        transfer: Transfer { body: BodyKind::EightBitMime, ..Transfer::PLAIN },
        accepted_at: UNIX_EPOCH + Duration::new(1_790_000_000, 7),
        attempt: 3,
        first_attempt_at: None,
        delay_reported: false,
        client: Some("2001:db8::1".parse().unwrap()),
        lane: Lane::Bulk,
    }
}

/// With every field.
fn full_sample() -> Envelope {
    let mut full = sample();
    full.transfer.ret = Some(Return::Headers);
    full.transfer.envelope_id = "QQ+2B1".parse().ok();
    full.delay_reported = true;
    full.recipients[1].reporting.notify = Some(Notify::NEVER);
    full.recipients[2].reporting = Reporting {
        notify: "SUCCESS,DELAY".parse().ok(),
        original_recipient: "utf-8;\\x{7528}@own.example".parse().ok(),
    };
    full.first_attempt_at = Some(UNIX_EPOCH + Duration::new(1_790_000_001, 8));
    full.recipients[0].refusals = 2;
    full.recipients[0].granted_until = Some(UNIX_EPOCH + Duration::new(1_790_086_400, 7));
    full
}

#[test]
fn round_trip() {
    for inline in [sample(), full_sample()] {
        assert_eq!(decode(encode(&inline)).unwrap(), inline);
    }
    let stored = BodyRef { shard: ShardId::new(5), sequences: vec![1, 9], size: 600_000 };
    let stored = Envelope { body: Body::Stored(stored), client: None, ..sample() };
    assert_eq!(decode(encode(&stored)).unwrap(), stored);
}

#[test]
fn seed_210_local_errors_are_kept_as_what_they_were() {
    for kind in [
        LocalErrorKind::Eof,
        LocalErrorKind::Timeout,
        LocalErrorKind::Os(104),
        LocalErrorKind::Protocol,
        LocalErrorKind::Dns,
        LocalErrorKind::Unmet,
        LocalErrorKind::Internal,
    ] {
        let mut envelope = sample();
        let error = LocalError { kind, bytes: 3, elapsed: Duration::from_millis(1_500), ..of_old_records() };
        envelope.recipients[1].last_failure.as_mut().unwrap().cause = Cause::Local(error);
        assert_eq!(decode(encode(&envelope)).unwrap(), envelope);
    }
}

/// Who does not know REQUIRETLS would send it in the clear.
#[test]
fn a_message_that_must_stay_protected_has_a_version_of_its_own() {
    let mut strict = full_sample();
    strict.transfer.require_tls = true;
    for body in [BodyKind::SevenBit, BodyKind::BinaryMime] {
        strict.transfer.body = body;
        let bytes = encode(&strict);
        assert_eq!(wire::Envelope::decode(&bytes[..]).unwrap().version, REQUIRE_TLS_VERSION);
        assert_eq!(decode(bytes).unwrap(), strict);
    }
}

/// Who knows only version 1 must not take it for text.
#[test]
fn a_binary_message_has_a_version_of_its_own() {
    let mut binary = full_sample();
    binary.transfer.body = BodyKind::BinaryMime;
    let bytes = encode(&binary);
    assert_eq!(wire::Envelope::decode(bytes.clone()).unwrap().version, 2);
    assert_eq!(decode(bytes).unwrap(), binary);
    for body in [BodyKind::SevenBit, BodyKind::EightBitMime] {
        binary.transfer.body = body;
        let bytes = encode(&binary);
        assert_eq!(wire::Envelope::decode(bytes.clone()).unwrap().version, 1);
        assert_eq!(decode(bytes).unwrap(), binary);
    }
}

fn golden(name: &str) -> std::path::PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../../tests/golden", name].iter().collect()
}

/// Bytes that the first release of version 1 wrote must be read for ever.
#[test]
fn the_first_version_1_is_read() {
    let bytes = std::fs::read(golden("envelope-v1.bin")).unwrap();
    assert_eq!(decode(bytes.into()).unwrap(), sample());
}

#[test]
fn version_1_with_its_later_fields_is_read() {
    let path = golden("envelope-v1-later-fields.bin");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, encode(&full_sample())).unwrap();
    }
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(decode(bytes.into()).unwrap(), full_sample());
}

#[test]
fn unknown_is_refused() {
    let mut record = wire::Envelope::decode(encode(&sample())).unwrap();
    record.version = 4;
    assert!(matches!(decode(record.encode_to_vec().into()), Err(DecodeError::Version(4))));
    record.version = 1;
    record.lane = 99;
    assert!(matches!(decode(record.encode_to_vec().into()), Err(DecodeError::Field { field: "lane", .. })));
    assert!(decode(Bytes::from_static(b"\xff\xff")).is_err());
}
