//! What recording a value of a histogram costs a thread in processor time: by the exporter alone (`plain`), and as
//! it is, without traces, in one that is not sampled, and in one that is:
//! `cargo run --release -p hikyaku-runtime --example cost [plain]`.

use std::{fs, hint::black_box};

use hikyaku_runtime::observe::{self, Readiness};
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::{
    Context, global,
    trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
    },
};

const VALUES: u32 = 100_000;
/// The best of so many counts: others use the machine too.
const ROUNDS: u32 = 20;

/// proc_pid_schedstat(5): nanoseconds on a processor come first.
fn on_processor() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn measure(what: &str, sampled: Option<bool>) {
    let context = sampled.map_or_else(Context::new, |sampled| {
        let flags = TraceFlags::default().with_sampled(sampled);
        let span = SpanContext::new(TraceId::from(1), SpanId::from(1), flags, false, TraceState::NONE);
        Context::new().with_remote_span_context(span)
    });
    let _inside = context.attach();
    let rounds = (0..ROUNDS).map(|_| {
        let start = on_processor();
        for n in 0..VALUES {
            let lane = if n % 2 == 0 { "fresh" } else { "due" };
            metrics::histogram!("mail.delivery.latency", "outcome" => "delivered", "lane" => black_box(lane))
                .record(black_box(f64::from(n) / 1e5));
        }
        (on_processor() - start) / u64::from(VALUES)
    });
    println!("{what}: {} ns a value", rounds.min().unwrap_or_default());
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).is_some_and(|argument| argument == "plain") {
        PrometheusBuilder::new().set_buckets(&[0.1, 1.0])?.install_recorder()?;
        measure("by the exporter alone", None);
        return Ok(());
    }
    observe::serve("127.0.0.1:0".parse()?, Readiness::default()).await?;
    measure("without traces", None);
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
    hikyaku_spans::enable(global::BoxedTracer::new(Box::new(provider.tracer("cost"))));
    measure("in no trace", None);
    measure("not sampled", Some(false));
    measure("sampled", Some(true));
    Ok(())
}
