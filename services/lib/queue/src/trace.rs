//! What travels in NATS headers beside the envelope: the W3C trace context, so that a retry days
//! later still knows its acceptance, the time of holds, and a route that an operator chose.

use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::{SpanContext, TraceContextExt as _},
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::holds::{self, HeldMark};

struct Outgoing<'a>(&'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key, value.as_str());
    }
}

struct Incoming<'a>(&'a HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}

/// An operator chose the destination: the route is not asked again.
const ROUTE: &str = "Hikyaku-Route";
const BY_HAND: &str = "by-hand";

/// What an entry brought along in its headers, and takes along into the next one. Opaque to others.
#[derive(Debug, Clone)]
pub struct Origin {
    span: SpanContext,
    held_for: Duration,
    /// End of the hold that it has just left.
    held_until: Option<SystemTime>,
    routed_by_hand: bool,
}

impl Origin {
    /// Links the current span to the span that accepted the message. A link and not a parent,
    /// because an attempt may come days later.
    pub fn link_current_span(&self) {
        if self.span.is_valid() {
            tracing::Span::current().add_link(self.span.clone());
        }
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
        let context = Context::new().with_remote_span_context(self.span.clone());
        global::get_text_map_propagator(|p| p.inject_context(&context, &mut Outgoing(headers)));
        holds::put_before(headers, self.held_for);
        if self.routed_by_hand {
            route_by_hand(headers);
        }
    }
}

pub(crate) fn route_by_hand(headers: &mut HeaderMap) {
    headers.insert(ROUTE, BY_HAND);
}

/// The trace of the span that runs now.
pub(crate) fn current() -> Origin {
    new(tracing::Span::current().context().span().span_context().clone())
}

pub(crate) fn read(headers: Option<&HeaderMap>, now: SystemTime) -> Origin {
    let Some(headers) = headers else { return new(SpanContext::empty_context()) };
    let context = global::get_text_map_propagator(|p| p.extract(&Incoming(headers)));
    Origin {
        held_for: holds::held_for(headers, now),
        held_until: HeldMark::read(headers).map(|mark| mark.end(now)),
        routed_by_hand: headers.get(ROUTE).is_some_and(|route| route.as_str() == BY_HAND),
        ..new(context.span().span_context().clone())
    }
}

fn new(span: SpanContext) -> Origin {
    Origin { span, held_for: Duration::ZERO, held_until: None, routed_by_hand: false }
}
