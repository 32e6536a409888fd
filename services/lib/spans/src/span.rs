//! A span that runs. It ends when its last clone is dropped.

use std::{borrow::Cow, sync::OnceLock, time::SystemTime};

use futures::future::Either;
use opentelemetry::{
    Context, KeyValue, Value,
    context::WithContext,
    global::BoxedTracer,
    trace::{FutureExt as _, Link, SpanBuilder, SpanId, Status, TraceContextExt as _, TraceId, Tracer as _},
};

use crate::{Origin, declared::Declared};

/// Longer values are cut: what remote hosts say must not become large.
const LONGEST_VALUE: usize = 256;

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// From now on there are spans. Once in a process.
pub fn enable(tracer: BoxedTracer) {
    let _ = TRACER.set(tracer); // a second one is not wanted
}

pub fn is_enabled() -> bool {
    TRACER.get().is_some()
}

/// The trace and the span that run now, if they are exported. Nothing is copied or locked to find out.
pub fn sampled() -> Option<(TraceId, SpanId)> {
    if !is_enabled() {
        return None;
    }
    Context::map_current(|context| {
        let span = context.span();
        let identity = span.span_context();
        identity.is_sampled().then(|| (identity.trace_id(), identity.span_id()))
    })
}

/// A span, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Span(Option<Running>);

#[derive(Clone, Debug)]
struct Running {
    context: Context,
    /// Asked once: most are not, and they are told everything, too.
    is_recorded: bool,
}

impl Span {
    pub const fn none() -> Self {
        Self(None)
    }

    /// What runs now.
    pub fn current() -> Self {
        if !is_enabled() {
            return Self::none();
        }
        let context = Context::current();
        if context.has_active_span() { Self::of(context) } else { Self::none() }
    }

    fn of(context: Context) -> Self {
        let is_recorded = context.span().is_recording();
        Self(Some(Running { context, is_recorded }))
    }

    /// Begins a trace. Links to what is not sampled lead nowhere, so of those there is none but the first, which
    /// decides whether a consumer's trace is sampled.
    pub fn root(
        declared: &Declared,
        name: impl Into<Cow<'static, str>>,
        links: impl IntoIterator<Item = Origin>,
    ) -> Self {
        let Some(tracer) = TRACER.get() else { return Self::none() };
        let links = links.into_iter().enumerate().filter(|(n, origin)| *n == 0 || origin.is_sampled());
        let links = links.filter_map(|(_, origin)| origin.valid()).map(Link::with_context).collect();
        let builder = SpanBuilder { links: Some(links), ..builder(declared, name.into()) };
        let context = Context::new();
        Self::of(context.with_span(tracer.build_with_context(builder, &context)))
    }

    /// In the span that runs now. Nothing, if that is not recorded.
    pub fn child(declared: &Declared, name: impl Into<Cow<'static, str>>) -> Self {
        let Some(tracer) = TRACER.get() else { return Self::none() };
        if !Context::map_current(|context| context.span().is_recording()) {
            return Self::none();
        }
        let context = Context::current();
        let span = tracer.build_with_context(builder(declared, name.into()), &context);
        Self::of(context.with_span(span))
    }

    /// In a span of another process. Nothing, if that is not sampled.
    pub fn below(origin: &Origin, declared: &Declared, name: impl Into<Cow<'static, str>>) -> Self {
        let Some(tracer) = TRACER.get() else { return Self::none() };
        if !origin.is_sampled() {
            return Self::none();
        }
        let context = Context::new().with_remote_span_context(origin.context().clone());
        let span = tracer.build_with_context(builder(declared, name.into()), &context);
        Self::of(context.with_span(span))
    }

    /// What is set here is exported.
    pub fn is_recorded(&self) -> bool {
        self.recorded().is_some()
    }

    fn recorded(&self) -> Option<&Context> {
        self.0.as_ref().filter(|running| running.is_recorded).map(|running| &running.context)
    }

    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = self.recorded() {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// The text is written only if somebody will see it.
    pub fn show(&self, key: &'static str, value: &impl ToString) {
        if self.is_recorded() {
            self.set(key, shortened(value.to_string()));
        }
    }

    /// For what is ours, or has failed. `error` is one of few values.
    pub fn fail(&self, error: &'static str) {
        if let Some(context) = self.recorded() {
            context.span().set_attribute(KeyValue::new("error.type", error));
            context.span().set_status(Status::error(error));
        }
    }

    /// For headers.
    pub fn origin(&self) -> Origin {
        self.0
            .as_ref()
            .map_or_else(Origin::none, |running| Origin::new(running.context.span().span_context().clone()))
    }

    /// Spans that are begun in `work` stand in this one; without one, where they would anyway.
    pub fn around<F: Future>(&self, work: F) -> Either<WithContext<F>, F> {
        match &self.0 {
            Some(running) => Either::Left(work.with_context(running.context.clone())),
            None => Either::Right(work),
        }
    }
}

fn builder(declared: &Declared, name: Cow<'static, str>) -> SpanBuilder {
    SpanBuilder {
        name,
        span_kind: Some(declared.kind.clone()),
        start_time: Some(SystemTime::now()),
        ..SpanBuilder::default()
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_VALUE {
        text.truncate(text.floor_char_boundary(LONGEST_VALUE));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(shortened("short".to_owned()), "short");
        let cut = shortened("ä".repeat(LONGEST_VALUE));
        assert_eq!(cut.len(), LONGEST_VALUE);
        let cut = shortened(format!("a{}", "ä".repeat(LONGEST_VALUE)));
        assert_eq!(cut.len(), LONGEST_VALUE - 1);
    }

    /// Nobody has called `enable` in this process.
    #[test]
    fn without_an_exporter_there_are_no_spans() {
        let span = Span::root(&crate::declared::CONNECTION, "smtp.server.connection", []);
        assert!(!span.is_recorded() && span.origin().valid().is_none());
        assert_eq!(sampled(), None);
        let mut headers = Vec::new();
        span.origin().write(|name, value| headers.push((name.to_owned(), value)));
        assert!(headers.is_empty(), "{headers:?}");
    }
}
