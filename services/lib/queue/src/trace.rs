//! What travels in NATS headers beside the envelope: the W3C trace context, so that a retry days
//! later still knows its acceptance, the time of holds, and a route that an operator chose.

use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use hikyaku_spans::{Origin as SpanOrigin, Span};

use crate::holds::{self, HeldMark};

/// An operator chose the destination: the route is not asked again.
const ROUTE: &str = "Hikyaku-Route";
const BY_HAND: &str = "by-hand";

/// What an entry brought along in its headers, and takes along into the next one. Opaque to others.
#[derive(Debug, Clone)]
pub struct Origin {
    span: SpanOrigin,
    held_for: Duration,
    /// End of the hold that it has just left.
    held_until: Option<SystemTime>,
    routed_by_hand: bool,
}

impl Origin {
    /// The span that wrote the message into the queue.
    pub fn span(&self) -> &SpanOrigin {
        &self.span
    }

    /// Time for which its give-up clocks stood still (SEED-186).
    pub fn held_for(&self) -> Duration {
        self.held_for
    }

    /// An operator has moved it here; the route of its recipients does not count.
    pub fn is_routed_by_hand(&self) -> bool {
        self.routed_by_hand
    }

    pub(crate) fn held_until(&self) -> Option<SystemTime> {
        self.held_until
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        self.span.write(|name, value| headers.insert(name, value.as_str()));
        holds::put_before(headers, self.held_for);
        if self.routed_by_hand {
            route_by_hand(headers);
        }
    }
}

pub(crate) fn route_by_hand(headers: &mut HeaderMap) {
    headers.insert(ROUTE, BY_HAND);
}

/// An entry that is new comes from the span that writes it.
pub(crate) fn write_current(headers: &mut HeaderMap) {
    Span::current().origin().write(|name, value| headers.insert(name, value.as_str()));
}

pub(crate) fn read(headers: Option<&HeaderMap>, now: SystemTime) -> Origin {
    let Some(headers) = headers else { return new(SpanOrigin::none()) };
    Origin {
        held_for: holds::held_for(headers, now),
        held_until: HeldMark::read(headers).map(|mark| mark.end(now)),
        routed_by_hand: headers.get(ROUTE).is_some_and(|route| route.as_str() == BY_HAND),
        ..new(SpanOrigin::read(|name| headers.get(name).map(async_nats::HeaderValue::as_str)))
    }
}

fn new(span: SpanOrigin) -> Origin {
    Origin { span, held_for: Duration::ZERO, held_until: None, routed_by_hand: false }
}
