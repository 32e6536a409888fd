//! What recording a value of a histogram costs, without traces, in one that is not sampled, and in one that is:
//! `cargo run --release -p hikyaku-runtime --example cost`.

use std::{hint::black_box, time::Instant};

use hikyaku_runtime::observe::{self, Readiness};
use opentelemetry::{
    Context, global,
    trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
    },
};

const VALUES: u32 = 2_000_000;

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn measure(what: &str, sampled: Option<bool>) {
    let context = sampled.map_or_else(Context::new, |sampled| {
        let flags = TraceFlags::default().with_sampled(sampled);
        let span = SpanContext::new(TraceId::from(1), SpanId::from(1), flags, false, TraceState::NONE);
        Context::new().with_remote_span_context(span)
    });
    let _inside = context.attach();
    let start = Instant::now();
    for n in 0..VALUES {
        let lane = if n % 2 == 0 { "fresh" } else { "due" };
        metrics::histogram!("mail.delivery.latency", "outcome" => "delivered", "lane" => black_box(lane))
            .record(black_box(f64::from(n) / 1e5));
    }
    println!("{what}: {} ns a value", start.elapsed().as_nanos() / u128::from(VALUES));
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    observe::serve("127.0.0.1:0".parse()?, Readiness::default()).await?;
    for _ in 0..3 {
        measure("without traces", None);
    }
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
    hikyaku_spans::enable(global::BoxedTracer::new(Box::new(provider.tracer("cost"))));
    for _ in 0..3 {
        measure("in no trace", None);
        measure("not sampled", Some(false));
        measure("sampled", Some(true));
    }
    Ok(())
}
