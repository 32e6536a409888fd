//! The identity of a span, in headers (W3C Trace Context). It says too whether its trace is sampled, and whoever
//! goes on with it follows.

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::{SpanContext, TraceContextExt as _},
};

/// The header that says it all; `tracestate` may stand beside it.
pub const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

#[derive(Clone, Debug)]
pub struct Origin(SpanContext);

#[derive(Default)]
struct Outgoing(Vec<(String, String)>);

impl Injector for Outgoing {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.0.push((key.to_owned(), value));
        }
    }
}

struct Incoming<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key == TRACEPARENT { Some(self.parent) } else { self.state }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

impl Origin {
    pub fn none() -> Self {
        Self(SpanContext::empty_context())
    }

    pub(crate) fn new(context: SpanContext) -> Self {
        Self(context)
    }

    pub(crate) fn context(&self) -> &SpanContext {
        &self.0
    }

    pub(crate) fn valid(self) -> Option<SpanContext> {
        self.0.is_valid().then_some(self.0)
    }

    pub fn is_sampled(&self) -> bool {
        self.0.is_valid() && self.0.is_sampled()
    }

    /// What cannot be read is none.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        let Some(parent) = get(TRACEPARENT) else { return Self::none() };
        let incoming = Incoming { parent, state: get(TRACESTATE) };
        let context = global::get_text_map_propagator(|propagator| propagator.extract(&incoming));
        Self(context.span().span_context().clone())
    }

    /// Nothing is put for none.
    pub fn write(&self, mut put: impl FnMut(&str, String)) {
        if !self.0.is_valid() {
            return;
        }
        let context = Context::new().with_remote_span_context(self.0.clone());
        let mut outgoing = Outgoing::default();
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut outgoing));
        for (name, value) in outgoing.0 {
            put(&name, value);
        }
    }
}
