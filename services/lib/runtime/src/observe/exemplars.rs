//! Which message was that? Beside each bucket of a histogram stands a trace that was counted in it: one that is
//! exported, so that it can be looked at. Whoever records outside of such a trace takes no lock and leaves nothing.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use metrics_exporter_prometheus::{
    LabelSet, PrometheusRecorder,
    formatting::{sanitize_metric_name, write_metric_line},
};
use opentelemetry::trace::{SpanId, TraceId};

use super::buckets;

/// One that is younger stays: in a burst nothing is copied.
const STAYS: Duration = Duration::from_secs(5);

/// As in OpenMetrics: labels, value, time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exemplar {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) value: f64,
    pub(super) at: SystemTime,
}

impl fmt::Display for Exemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let Self { trace, span, value, .. } = self;
        write!(f, "{{trace_id=\"{trace}\",span_id=\"{span}\"}} {value} {at:.3}")
    }
}

/// One for each bucket; the last one has no bound.
type Buckets = Box<[Option<Exemplar>]>;

/// There are as many as the exporter has buckets, so they are as few as the labels' values.
#[derive(Debug, Default)]
pub(super) struct Exemplars(Mutex<HashMap<Key, Buckets>>);

impl Exemplars {
    fn keep(&self, key: &Key, exemplar: Exemplar) {
        let (bounds, _) = buckets(key.name());
        let bucket = bounds.partition_point(|bound| *bound < exemplar.value);
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !series.contains_key(key) {
            series.insert(key.clone(), vec![None; bounds.len() + 1].into());
        }
        let Some(kept) = series.get_mut(key).and_then(|buckets| buckets.get_mut(bucket)) else { return };
        let age = kept.and_then(|kept| exemplar.at.duration_since(kept.at).ok());
        if age.is_none_or(|age| age >= STAYS) {
            *kept = Some(exemplar);
        }
    }

    /// By the series of the bucket, as the exporter writes it.
    pub(super) fn by_series(&self) -> HashMap<String, Exemplar> {
        let kept = self.kept().into_iter();
        kept.map(|(key, bucket, exemplar)| (line(&key, bucket), exemplar)).collect()
    }

    /// Whoever records in a trace waits for this, so nothing is written out here.
    fn kept(&self) -> Vec<(Key, usize, Exemplar)> {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = series.iter().flat_map(|(key, kept)| {
            kept.iter()
                .enumerate()
                .filter_map(move |(bucket, exemplar)| Some((key.clone(), bucket, (*exemplar)?)))
        });
        buckets.collect()
    }
}

/// Of the bucket, without its count.
fn line(key: &Key, bucket: usize) -> String {
    let (bounds, unit) = buckets(key.name());
    let bound = bounds.get(bucket).map_or_else(|| "+Inf".to_owned(), f64::to_string);
    let labels = LabelSet::from_key_and_global(key, &Default::default());
    let (name, mut line) = (sanitize_metric_name(key.name()), String::new());
    write_metric_line(&mut line, &name, Some("bucket"), &labels, Some(("le", bound)), "", Some(unit));
    line.truncate(line.trim_end().len());
    line
}

/// The exporter's, which sees of each histogram who asks for it. The macros ask each time that something is
/// recorded, so who asks is who records: nobody keeps a [`Histogram`].
pub(super) struct Recorder {
    exporter: PrometheusRecorder,
    exemplars: Arc<Exemplars>,
}

impl Recorder {
    pub(super) fn new(exporter: PrometheusRecorder, exemplars: Arc<Exemplars>) -> Self {
        Self { exporter, exemplars }
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.exporter.describe_counter(name, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.exporter.describe_gauge(name, unit, help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.exporter.describe_histogram(name, unit, help);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.exporter.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.exporter.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let histogram = self.exporter.register_histogram(key, metadata);
        let Some(place) = hikyaku_spans::sampled() else { return histogram };
        let (key, exemplars) = (key.to_retained(), Arc::clone(&self.exemplars));
        Histogram::from_arc(Arc::new(Traced { histogram, key, place, exemplars }))
    }
}

/// A histogram in a trace that is exported.
struct Traced {
    histogram: Histogram,
    key: Key,
    place: (TraceId, SpanId),
    exemplars: Arc<Exemplars>,
}

impl HistogramFn for Traced {
    fn record(&self, value: f64) {
        self.histogram.record(value);
        let (trace, span) = self.place;
        self.exemplars.keep(&self.key, Exemplar { trace, span, value, at: SystemTime::now() });
    }
}

#[cfg(test)]
mod tests {
    use metrics::{Label, Recorder as _};
    use opentelemetry::{
        Context, global,
        trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState, noop::NoopTracerProvider},
    };

    use super::*;
    use crate::observe::recorder;

    fn exemplar(trace: u128, value: f64, second: u64) -> Exemplar {
        let at = UNIX_EPOCH + Duration::from_secs(second);
        Exemplar { trace: TraceId::from(trace), span: SpanId::from(1), value, at }
    }

    fn traces(exemplars: &Exemplars) -> HashMap<String, TraceId> {
        exemplars.by_series().into_iter().map(|(series, exemplar)| (series, exemplar.trace)).collect()
    }

    #[test]
    fn a_bucket_has_what_was_counted_in_it() {
        let exemplars = Exemplars::default();
        let key = Key::from_parts("a.latency", vec![Label::new("b.c", "x"), Label::new("d", "y")]);
        for (trace, value) in [(1, 0.001), (2, 0.001_1), (3, 60.0), (4, 86_400.5)] {
            exemplars.keep(&key, exemplar(trace, value, 0));
        }
        exemplars.keep(&Key::from_name("a.size"), exemplar(5, 1_025.0, 0));
        let of = |bound: &str| format!("a_latency_seconds_bucket{{b_c=\"x\",d=\"y\",le=\"{bound}\"}}");
        let expected = HashMap::from([
            (of("0.001"), 1),
            (of("0.0025"), 2),
            (of("60"), 3),
            (of("+Inf"), 4),
            ("a_size_bytes_bucket{le=\"4096\"}".to_owned(), 5),
        ]);
        let expected = expected.into_iter().map(|(series, trace)| (series, TraceId::from(trace)));
        assert_eq!(traces(&exemplars), expected.collect());
    }

    #[test]
    fn the_last_one_stays_for_a_while() {
        let (exemplars, key) = (Exemplars::default(), Key::from_name("a"));
        let mut seen = Vec::new();
        // Then the clock goes back.
        for (trace, second) in [(1, 100), (2, 104), (3, 105), (4, 50)] {
            exemplars.keep(&key, exemplar(trace, 1.0, second));
            seen.extend(traces(&exemplars).into_values());
        }
        assert_eq!(seen, [1, 1, 3, 4].map(|trace: u128| TraceId::from(trace)));
    }

    /// More than 128 characters in names and values of labels are not allowed.
    #[test]
    fn labels_are_as_short_as_they_must_be() {
        let text = exemplar(u128::MAX, 0.5, 1_700_000_000).to_string();
        let labels = format!("trace_id=\"{}\",span_id=\"0000000000000001\"", "f".repeat(32));
        assert_eq!(text, format!("{{{labels}}} 0.5 1700000000.000"));
        assert!(labels.len() <= 128);
        assert_eq!(size_of::<Option<Exemplar>>(), 48, "services/METRICS.md says so");
    }

    /// Series are found again in what the exporter writes, and those who are not sampled leave nothing.
    #[test]
    fn who_is_sampled_is_kept() {
        hikyaku_spans::enable(global::BoxedTracer::new(Box::new(
            opentelemetry::trace::TracerProvider::tracer(&NoopTracerProvider::new(), "x"),
        )));
        let (recorder, handle, exemplars) = recorder().unwrap();
        recorder.describe_histogram("a.duration".into(), Some(Unit::Seconds), "a".into());
        recorder.describe_histogram("a.size".into(), Some(Unit::Bytes), "a".into());
        metrics::with_local_recorder(&recorder, || {
            for (trace, flags) in [(1_u128, TraceFlags::NOT_SAMPLED), (2, TraceFlags::SAMPLED)] {
                let span =
                    SpanContext::new(TraceId::from(trace), SpanId::from(7), flags, false, TraceState::NONE);
                let _inside = Context::new().with_remote_span_context(span).attach();
                metrics::histogram!("a.duration", "a.b" => "x").record(0.3);
                metrics::histogram!("a.size").record(f64::from(u32::MAX));
            }
            metrics::histogram!("a.duration", "a.b" => "x").record(0.003);
        });
        let kept = exemplars.by_series();
        let text = handle.render();
        assert_eq!(kept.len(), 2, "{kept:?}");
        for (series, exemplar) in kept {
            assert_eq!(exemplar.trace, TraceId::from(2_u128));
            assert!(
                text.lines().any(|line| line == format!("{series} 2") || line == format!("{series} 3")),
                "{series}\n{text}"
            );
        }
    }
}
