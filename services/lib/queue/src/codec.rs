//! Envelope <-> protobuf bytes. Refuses what it does not understand: an entry that
//! cannot be read stays in the stream for a version that can.

use std::{
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use hikyaku_proto::queue::v1 as wire;
use hikyaku_types::{
    address::Mailbox,
    body::{Body, BodyRef},
    envelope::{BodyKind, Envelope, Lane, Recipient, Transfer},
    reporting::{Notify, Reporting, Return},
    shard::ShardId,
};
use prost::Message as _;

mod failure; // how an attempt ended

use failure::{decode_failure, encode_failure};

/// The format of most envelopes; all from 1 on are read.
const VERSION: u32 = 1;
/// That of a binary message, so that who does not know of those leaves it alone: it would send it by DATA.
const BINARY_VERSION: u32 = 2;
/// That of a message that must not go in the clear, for the same reason.
const REQUIRE_TLS_VERSION: u32 = 3;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the envelope is not protobuf")]
    Protobuf(#[from] prost::DecodeError),
    #[error("envelope version {0} is not known here")]
    Version(u32),
    #[error("envelope field {field} has the value {value:?}")]
    Field { field: &'static str, value: String },
}

fn field(field: &'static str, value: impl ToString) -> DecodeError {
    DecodeError::Field { field, value: value.to_string() }
}

pub(crate) fn encode(envelope: &Envelope) -> Bytes {
    let body = match &envelope.body {
        Body::Inline(content) => wire::envelope::Body::Inline(content.clone()),
        Body::Stored(stored) => wire::envelope::Body::Stored(wire::BodyRef {
            shard: u32::from(stored.shard.get()),
            sequences: stored.sequences.clone(),
            size: stored.size,
        }),
    };
    let is_binary = envelope.transfer.body == BodyKind::BinaryMime;
    let record = wire::Envelope {
        version: match (envelope.transfer.require_tls, is_binary) {
            (true, _) => REQUIRE_TLS_VERSION,
            (false, true) => BINARY_VERSION,
            (false, false) => VERSION,
        },
        queue_id: envelope.entry.queue_id.to_string(),
        hop: u32::from(envelope.entry.hop),
        destination: envelope.destination.to_string(),
        reverse_path: envelope.reverse_path.to_string(),
        recipients: envelope.recipients.iter().map(encode_recipient).collect(),
        body: Some(body),
        eight_bit_mime: envelope.transfer.body == BodyKind::EightBitMime,
        smtputf8: envelope.transfer.smtputf8,
        accepted_at: Some(timestamp(envelope.accepted_at)),
        attempt: envelope.attempt,
        client: envelope.client.map(|client| client.to_string()).unwrap_or_default(),
        lane: encode_lane(envelope.lane).into(),
        first_attempt_at: envelope.first_attempt_at.map(timestamp),
        ret: encode_return(envelope.transfer.ret).into(),
        envelope_id: envelope.transfer.envelope_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        delay_reported: envelope.delay_reported,
        binary_mime: is_binary,
        require_tls: envelope.transfer.require_tls,
    };
    record.encode_to_vec().into()
}

/// `bytes` is shared, not copied: an inline body is a slice of it.
pub(crate) fn decode(bytes: Bytes) -> Result<Envelope, DecodeError> {
    let record = wire::Envelope::decode(bytes)?;
    if record.version == 0 || record.version > REQUIRE_TLS_VERSION {
        return Err(DecodeError::Version(record.version));
    }
    let lane = decode_lane(&record)?;
    let queue_id: hikyaku_types::ids::QueueId =
        record.queue_id.parse().map_err(|_| field("queue_id", &record.queue_id))?;
    let hop = u16::try_from(record.hop).map_err(|_| field("hop", record.hop))?;
    let body = match record.body {
        Some(wire::envelope::Body::Inline(content)) => Body::Inline(content),
        Some(wire::envelope::Body::Stored(stored)) => Body::Stored(BodyRef {
            shard: ShardId::new(u16::try_from(stored.shard).map_err(|_| field("body.shard", stored.shard))?),
            sequences: stored.sequences,
            size: stored.size,
        }),
        None => return Err(field("body", "absent")),
    };
    if record.recipients.is_empty() {
        return Err(field("recipients", "none"));
    }
    let client = optional(&record.client, "client")?;
    Ok(Envelope {
        entry: queue_id.entry(hop),
        destination: record.destination.parse().map_err(|_| field("destination", &record.destination))?,
        reverse_path: record.reverse_path.parse().map_err(|_| field("reverse_path", &record.reverse_path))?,
        recipients: record.recipients.into_iter().map(decode_recipient).collect::<Result<_, _>>()?,
        body,
        transfer: Transfer {
            body: decode_body_kind(record.eight_bit_mime, record.binary_mime),
            smtputf8: record.smtputf8,
            ret: decode_return(record.ret)?,
            envelope_id: optional(&record.envelope_id, "envelope_id")?,
            require_tls: record.require_tls,
        },
        accepted_at: time(record.accepted_at, "accepted_at")?,
        attempt: record.attempt,
        first_attempt_at: optional_time(record.first_attempt_at, "first_attempt_at")?,
        client,
        delay_reported: record.delay_reported,
        lane,
    })
}

fn encode_recipient(recipient: &Recipient) -> wire::Recipient {
    wire::Recipient {
        address: recipient.address.to_string(),
        original: recipient.original.clone().unwrap_or_default(),
        last_failure: recipient.last_failure.as_ref().map(encode_failure),
        refusals: recipient.refusals,
        granted_until: recipient.granted_until.map(timestamp),
        notify: recipient.reporting.notify.map(|Notify { success, failure, delay }| wire::Notify {
            success,
            failure,
            delay,
        }),
        original_recipient: recipient
            .reporting
            .original_recipient
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

fn decode_recipient(record: wire::Recipient) -> Result<Recipient, DecodeError> {
    let address: Mailbox =
        record.address.parse().map_err(|_| field("recipients.address", &record.address))?;
    Ok(Recipient {
        address,
        original: Some(record.original).filter(|original| !original.is_empty()),
        reporting: Reporting {
            notify: record.notify.map(|wire::Notify { success, failure, delay }| Notify {
                success,
                failure,
                delay,
            }),
            original_recipient: optional(&record.original_recipient, "recipients.original_recipient")?,
        },
        last_failure: record.last_failure.map(decode_failure).transpose()?,
        refusals: record.refusals,
        granted_until: optional_time(record.granted_until, "recipients.granted_until")?,
    })
}

fn encode_return(ret: Option<Return>) -> wire::Return {
    match ret {
        None => wire::Return::Unspecified,
        Some(Return::Full) => wire::Return::Full,
        Some(Return::Headers) => wire::Return::Headers,
    }
}

fn decode_return(record: i32) -> Result<Option<Return>, DecodeError> {
    match wire::Return::try_from(record) {
        Ok(wire::Return::Unspecified) => Ok(None),
        Ok(wire::Return::Full) => Ok(Some(Return::Full)),
        Ok(wire::Return::Headers) => Ok(Some(Return::Headers)),
        Err(_) => Err(field("ret", record)),
    }
}

fn decode_body_kind(eight_bit_mime: bool, binary_mime: bool) -> BodyKind {
    match (binary_mime, eight_bit_mime) {
        (true, _) => BodyKind::BinaryMime,
        (false, true) => BodyKind::EightBitMime,
        (false, false) => BodyKind::SevenBit,
    }
}

fn encode_lane(lane: Lane) -> wire::Lane {
    match lane {
        Lane::Fresh => wire::Lane::Fresh,
        Lane::Bulk => wire::Lane::Bulk,
        Lane::Due => wire::Lane::Due,
    }
}

fn decode_lane(record: &wire::Envelope) -> Result<Lane, DecodeError> {
    match wire::Lane::try_from(record.lane) {
        Ok(wire::Lane::Fresh) => Ok(Lane::Fresh),
        Ok(wire::Lane::Bulk) => Ok(Lane::Bulk),
        Ok(wire::Lane::Due) => Ok(Lane::Due),
        Ok(wire::Lane::Unspecified) | Err(_) => Err(field("lane", record.lane)),
    }
}

/// Empty is absent.
fn optional<T: FromStr>(text: &str, name: &'static str) -> Result<Option<T>, DecodeError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| field(name, text))
}

pub(crate) fn timestamp(at: SystemTime) -> prost_types::Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0), // below 10^9, so it fits
    }
}

pub(crate) fn time(
    record: Option<prost_types::Timestamp>,
    name: &'static str,
) -> Result<SystemTime, DecodeError> {
    let record = record.ok_or_else(|| field(name, "absent"))?;
    let parts = u64::try_from(record.seconds).ok().zip(u32::try_from(record.nanos).ok());
    let (seconds, nanos) = parts.ok_or_else(|| field(name, format!("{record:?}")))?;
    let since = Duration::from_secs(seconds).saturating_add(Duration::from_nanos(u64::from(nanos)));
    UNIX_EPOCH.checked_add(since).ok_or_else(|| field(name, format!("{record:?}")))
}

fn optional_time(
    record: Option<prost_types::Timestamp>,
    name: &'static str,
) -> Result<Option<SystemTime>, DecodeError> {
    record.map(|record| time(Some(record), name)).transpose()
}

#[cfg(test)]
mod tests;
