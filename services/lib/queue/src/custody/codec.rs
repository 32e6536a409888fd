//! Events <-> protobuf. Two batches one after the other are one batch, so each caller encodes its
//! own and the writer only puts them together.

use std::{net::IpAddr, time::SystemTime};

use bytes::Bytes;
use hikyaku_proto::queue::v1::{self as wire, custody_event::Event as WireEvent};
use hikyaku_types::ids::{EntryId, QueueId};
use prost::Message as _;

use super::{Admission, End, Event, Origin};
use crate::codec::{time, timestamp};

#[derive(Debug, thiserror::Error)]
#[error("the batch is not protobuf")]
pub(crate) struct NotABatch(#[from] prost::DecodeError);

pub(crate) fn encode(events: &[Event]) -> Bytes {
    let events = events.iter().map(|event| wire::CustodyEvent { event: Some(encode_event(event)) }).collect();
    wire::CustodyBatch { events }.encode_to_vec().into()
}

/// What cannot be understood, such as an event of a later version, is left out: `None`.
pub(crate) fn decode(bytes: Bytes) -> Result<impl Iterator<Item = Option<Event>>, NotABatch> {
    let batch = wire::CustodyBatch::decode(bytes)?;
    Ok(batch.events.into_iter().map(|event| decode_event(event.event?)))
}

fn encode_event(event: &Event) -> WireEvent {
    match event {
        Event::Accepted { entry, recipients, at, origin } => {
            let (origin, resend_of) = match origin {
                Origin::Client => (wire::Origin::Client, String::new()),
                Origin::Report => (wire::Origin::Report, String::new()),
                Origin::Resend(of) => (wire::Origin::Resend, of.to_string()),
            };
            WireEvent::Accepted(wire::Accepted {
                queue_id: entry.queue_id.to_string(),
                hop: u32::from(entry.hop),
                recipients: recipients.clone(),
                at: Some(timestamp(*at)),
                origin: origin.into(),
                resend_of,
            })
        }
        Event::Stored { queue_id, admission } => WireEvent::Stored(wire::Stored {
            queue_id: queue_id.to_string(),
            admission: admission.as_ref().map(encode_admission),
        }),
        Event::Ended { entry, recipient, end, at, attempt } => WireEvent::Ended(wire::Ended {
            queue_id: entry.queue_id.to_string(),
            hop: u32::from(entry.hop),
            recipient: recipient.clone(),
            end: encode_end(*end).into(),
            at: Some(timestamp(*at)),
            attempt: *attempt,
        }),
        Event::Moved { from, to, recipients, at } => WireEvent::Moved(wire::Moved {
            queue_id: from.queue_id.to_string(),
            from_hop: u32::from(from.hop),
            to_hop: u32::from(to.hop),
            recipients: recipients.clone(),
            at: Some(timestamp(*at)),
        }),
        Event::Removed { entry, at } => WireEvent::Removed(wire::Removed {
            queue_id: entry.queue_id.to_string(),
            hop: u32::from(entry.hop),
            at: Some(timestamp(*at)),
        }),
    }
}

fn decode_event(event: WireEvent) -> Option<Event> {
    match event {
        WireEvent::Accepted(record) => Some(Event::Accepted {
            entry: entry(&record.queue_id, record.hop)?,
            recipients: record.recipients,
            at: when(record.at)?,
            origin: match wire::Origin::try_from(record.origin).ok()? {
                wire::Origin::Client => Origin::Client,
                wire::Origin::Report => Origin::Report,
                wire::Origin::Resend => Origin::Resend(record.resend_of.parse().ok()?),
                wire::Origin::Unspecified => return None,
            },
        }),
        WireEvent::Stored(record) => Some(Event::Stored {
            queue_id: record.queue_id.parse().ok()?,
            admission: record.admission.and_then(decode_admission),
        }),
        WireEvent::Ended(record) => Some(Event::Ended {
            entry: entry(&record.queue_id, record.hop)?,
            recipient: record.recipient,
            end: decode_end(record.end)?,
            at: when(record.at)?,
            attempt: record.attempt,
        }),
        WireEvent::Moved(record) => Some(Event::Moved {
            from: entry(&record.queue_id, record.from_hop)?,
            to: entry(&record.queue_id, record.to_hop)?,
            recipients: record.recipients,
            at: when(record.at)?,
        }),
        WireEvent::Removed(record) => {
            Some(Event::Removed { entry: entry(&record.queue_id, record.hop)?, at: when(record.at)? })
        }
    }
}

fn encode_admission(admission: &Admission) -> wire::Admission {
    let client = match admission.client.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    wire::Admission {
        client: client.into(),
        identity: admission.identity.clone().unwrap_or_default(),
        admitted_by: admission.admitted_by.to_string(),
    }
}

fn decode_admission(record: wire::Admission) -> Option<Admission> {
    let wire::Admission { client, identity, admitted_by } = record;
    let client = match <[u8; 4]>::try_from(&client[..]) {
        Ok(octets) => IpAddr::from(octets),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(&client[..]).ok()?),
    };
    let identity = Some(identity).filter(|identity| !identity.is_empty());
    Some(Admission { client, identity, admitted_by: admitted_by.into() })
}

fn encode_end(end: End) -> wire::End {
    match end {
        End::Delivered => wire::End::Delivered,
        End::Failed => wire::End::Failed,
        End::Expired => wire::End::Expired,
        End::Deleted => wire::End::Deleted,
        End::DeadLettered => wire::End::DeadLettered,
    }
}

fn decode_end(end: i32) -> Option<End> {
    match wire::End::try_from(end).ok()? {
        wire::End::Delivered => Some(End::Delivered),
        wire::End::Failed => Some(End::Failed),
        wire::End::Expired => Some(End::Expired),
        wire::End::Deleted => Some(End::Deleted),
        wire::End::DeadLettered => Some(End::DeadLettered),
        wire::End::Unspecified => None,
    }
}

fn entry(queue_id: &str, hop: u32) -> Option<EntryId> {
    let queue_id: QueueId = queue_id.parse().ok()?;
    Some(queue_id.entry(u16::try_from(hop).ok()?))
}

fn when(at: Option<prost_types::Timestamp>) -> Option<SystemTime> {
    time(at, "at").ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn batches_one_after_the_other_are_one() {
        let id = QueueId::new(1_795_000_000_000, 7);
        let at = UNIX_EPOCH + Duration::from_millis(1_795_000_000_123);
        let recipients = vec!["a@example.org".to_owned(), "\"b c\"@example.org".to_owned()];
        let accepted =
            |origin| Event::Accepted { entry: id.entry(3), recipients: recipients.clone(), at, origin };
        let admission = |client: &str| Admission {
            client: client.parse().unwrap(),
            identity: None,
            admitted_by: "relay-networks:1".into(),
        };
        let stored = |admission| Event::Stored { queue_id: id, admission };
        let mut events = vec![
            accepted(Origin::Client),
            accepted(Origin::Report),
            accepted(Origin::Resend(QueueId::new(1, 2))),
            stored(None),
            stored(Some(Admission {
                identity: Some("ann@example.org".to_owned()),
                ..admission("192.0.2.1")
            })),
            stored(Some(admission("2001:db8::1"))),
            Event::Moved { from: id.entry(3), to: id.entry(4_097), recipients: recipients.clone(), at },
        ];
        let ended =
            |end| Event::Ended { entry: id.entry(3), recipient: recipients[1].clone(), end, at, attempt: 5 };
        events.extend(End::ALL.map(ended));
        let (first, second) = events.split_at(4);
        let bytes = Bytes::from([encode(first), encode(second)].concat());
        let decoded: Option<Vec<Event>> = decode(bytes).unwrap().collect();
        assert_eq!(decoded, Some(events));
    }

    /// SEED-102: who handed a message in costs some thirty octets of a transaction, and what an earlier version
    /// wrote has none of it.
    #[test]
    fn an_admission_is_small_and_may_be_missing() {
        let queue_id = QueueId::new(1, 2);
        let of = |admission| encode(&[Event::Stored { queue_id, admission }]).len();
        let admission = Admission {
            client: [192, 0, 2, 1].into(),
            identity: None,
            admitted_by: "relay-networks:12".into(),
        };
        assert_eq!(of(Some(admission)) - of(None), 27);
        let earlier = wire::Stored { queue_id: queue_id.to_string(), admission: None };
        assert_eq!(
            decode_event(WireEvent::Stored(earlier)),
            Some(Event::Stored { queue_id, admission: None })
        );
    }

    #[test]
    fn an_event_of_a_later_version_is_left_out() {
        let known = Event::Stored { queue_id: QueueId::new(1, 2), admission: None };
        let unknown = wire::CustodyBatch { events: vec![wire::CustodyEvent { event: None }] }.encode_to_vec();
        let bytes = Bytes::from([&unknown[..], &encode(std::slice::from_ref(&known))].concat());
        let decoded: Vec<Option<Event>> = decode(bytes).unwrap().collect();
        assert_eq!(decoded, [None, Some(known)]);
    }
}
