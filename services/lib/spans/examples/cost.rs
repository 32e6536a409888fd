//! What the spans of one message cost the processes that it passes through, exporting apart:
//! `cargo run --release -p hikyaku-spans --example cost`.

use std::{hint::black_box, time::Instant};

use futures::executor::block_on;
use hikyaku_spans::{
    Origin, Span,
    declared::{ATTEMPT, PUBLISH, RPC_CLIENT, TRANSACTION, TRANSFER},
};
use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};

const MESSAGES: u32 = 200_000;

async fn message() {
    let transaction = Span::root(&TRANSACTION, TRANSACTION.name, None);
    transaction.show("client.address", &std::net::Ipv4Addr::LOCALHOST);
    let mut header = None;
    let accepted = async {
        for method in ["CheckSender", "CheckRecipient"] {
            let asked = Span::child(&RPC_CLIENT, method);
            asked.set("rpc.method", method);
            asked.origin().write(|_, value| header = Some(value));
        }
        let publish = Span::child(&PUBLISH, "accept queue");
        publish.set("messaging.system", "nats");
        publish.around(async { Span::current().origin().write(|_, value| header = Some(value)) }).await;
    };
    transaction.around(accepted).await;
    transaction.show("mail.queue_id", &"01J00000000000000000000000");
    let origin = Origin::read(|name| if name == "traceparent" { header.as_deref() } else { None });
    let attempt = Span::root(&ATTEMPT, ATTEMPT.name, [origin]);
    attempt.show("mail.destination", &"example.org");
    attempt.set("mail.attempt", 1);
    attempt.around(async { Span::child(&TRANSFER, TRANSFER.name).set("server.port", 25) }).await;
    black_box(attempt);
}

fn measure(what: &str) {
    let start = Instant::now();
    for _ in 0..MESSAGES {
        block_on(message());
    }
    let each = start.elapsed().as_nanos() / u128::from(MESSAGES);
    #[expect(clippy::print_stdout, reason = "it is what this program is for")]
    {
        println!("{what}: {each} ns a message");
    }
}

fn main() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    measure("off");
    measure("off");
    let ratio: f64 = std::env::args().nth(1).and_then(|ratio| ratio.parse().ok()).unwrap_or(1.0);
    // Without a processor nothing is exported.
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    hikyaku_spans::enable(global::BoxedTracer::new(Box::new(provider.tracer("cost"))));
    measure(&format!("sampled {ratio}"));
}
