//! W3C trace context in NATS headers: a retry days later still knows its acceptance.

use async_nats::HeaderMap;
use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::{SpanContext, TraceContextExt as _},
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

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

/// Where an entry came from, for linking spans; opaque to others.
#[derive(Debug, Clone)]
pub struct Origin(SpanContext);

impl Origin {
    /// Links the current span to the span that accepted the message. A link and not a parent,
    /// because an attempt may come days later.
    pub fn link_current_span(&self) {
        if self.0.is_valid() {
            tracing::Span::current().add_link(self.0.clone());
        }
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let context = Context::new().with_remote_span_context(self.0.clone());
        global::get_text_map_propagator(|p| p.inject_context(&context, &mut Outgoing(headers)));
    }
}

/// The trace of the span that runs now.
pub(crate) fn current() -> Origin {
    Origin(tracing::Span::current().context().span().span_context().clone())
}

pub(crate) fn read(headers: Option<&HeaderMap>) -> Origin {
    let Some(headers) = headers else { return Origin(SpanContext::empty_context()) };
    let context = global::get_text_map_propagator(|p| p.extract(&Incoming(headers)));
    Origin(context.span().span_context().clone())
}
