//! Which traces are exported: a share of those that begin here, and no more than so many in a time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hikyaku_types::traffic::Rate;
use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceContextExt as _, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// Who stands in a trace follows it. What was in the queue follows the span that put it there, because days may
/// lie between them and yet they are one story. Others are drawn, within a limit: what traces cost does not grow
/// with the mail.
#[derive(Debug, Clone)]
pub(super) struct Follow {
    share: Sampler,
    limit: Arc<Limit>,
}

impl Follow {
    pub(super) fn new(ratio: f64, rate: Rate) -> Self {
        let drawn = Mutex::new(Drawn { since: Instant::now(), count: 0 });
        Self { share: Sampler::TraceIdRatioBased(ratio), limit: Arc::new(Limit { rate, drawn }) }
    }
}

impl ShouldSample for Follow {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let said =
            parent.map(|parent| parent.span().span_context().clone()).filter(|parent| parent.is_valid());
        let said = said.map(|parent| parent.is_sampled());
        let linked = links.first().filter(|_| *kind == SpanKind::Consumer);
        let linked = linked.map(|link| link.span_context.is_sampled());
        let is_drawn = || {
            let share = self.share.should_sample(None, trace_id, name, kind, attributes, links);
            share.decision == SamplingDecision::RecordAndSample && self.limit.takes_one(Instant::now())
        };
        let is_sampled = said.or(linked).unwrap_or_else(is_drawn);
        let decision = if is_sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state: Default::default() }
    }
}

/// So many traces in each second (minute, hour).
#[derive(Debug)]
struct Limit {
    rate: Rate,
    drawn: Mutex<Drawn>,
}

#[derive(Debug)]
struct Drawn {
    since: Instant,
    count: u32,
}

impl Limit {
    fn takes_one(&self, now: Instant) -> bool {
        // Nothing that holds the lock can panic half-way.
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(drawn.since) >= self.rate.per {
            *drawn = Drawn { since: now, count: 0 };
        }
        let has_room = drawn.count < self.rate.count.get();
        drawn.count += u32::from(has_room);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    fn follow(ratio: f64, rate: &str) -> Follow {
        Follow::new(ratio, rate.parse().unwrap())
    }

    fn context(sampled: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(sampled);
        SpanContext::new(TraceId::from(1), SpanId::from(1), flags, true, TraceState::default())
    }

    fn is_sampled(sampler: &Follow, parent: Option<bool>, kind: SpanKind, link: Option<bool>) -> bool {
        let parent = parent.map(|sampled| Context::new().with_remote_span_context(context(sampled)));
        let links: Vec<Link> = link.map(|sampled| Link::with_context(context(sampled))).into_iter().collect();
        let parent = parent.unwrap_or_default();
        let result = sampler.should_sample(Some(&parent), TraceId::from(7), "x", &kind, &[], &links);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_trace_is_sampled_as_its_beginning_was() {
        for said in [true, false] {
            let opposite = follow(if said { 0.0 } else { 1.0 }, "9/s");
            assert_eq!(is_sampled(&opposite, Some(said), SpanKind::Server, None), said);
            assert_eq!(is_sampled(&opposite, Some(said), SpanKind::Consumer, Some(!said)), said);
            assert_eq!(is_sampled(&opposite, None, SpanKind::Consumer, Some(said)), said);
        }
    }

    /// A transaction is drawn for itself: it is linked to its connection and does not follow it.
    #[test]
    fn others_are_drawn() {
        for link in [None, Some(true), Some(false)] {
            assert!(is_sampled(&follow(1.0, "9/s"), None, SpanKind::Server, link));
            assert!(!is_sampled(&follow(0.0, "9/s"), None, SpanKind::Server, link));
        }
        assert!(is_sampled(&follow(1.0, "9/s"), None, SpanKind::Consumer, None));
    }

    #[test]
    fn only_so_many_are_drawn_and_what_follows_is_not_counted() {
        let sampler = follow(1.0, "2/h");
        for _ in 0..5 {
            assert!(is_sampled(&sampler, Some(true), SpanKind::Server, None));
        }
        let drawn = (0..5).filter(|_| is_sampled(&sampler, None, SpanKind::Server, None)).count();
        assert_eq!(drawn, 2);
        assert!(is_sampled(&sampler, None, SpanKind::Consumer, Some(true)), "its beginning was drawn");
    }

    #[test]
    fn there_is_room_again_when_the_time_is_over() {
        let sampler = follow(1.0, "3/s");
        let start = sampler.limit.drawn.lock().unwrap().since;
        let taken =
            |at| (0..9).filter(|_| sampler.limit.takes_one(start + Duration::from_millis(at))).count();
        assert_eq!([taken(0), taken(999), taken(1_000), taken(1_500), taken(2_100)], [3, 0, 3, 0, 3]);
    }

    #[test]
    fn what_is_not_drawn_takes_no_room() {
        let sampler = follow(0.0, "1/h");
        assert!(!is_sampled(&sampler, None, SpanKind::Server, None));
        assert!(sampler.limit.takes_one(Instant::now()));
    }
}
