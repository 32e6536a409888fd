//! Where spans go, and how many.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use hikyaku_runtime::traces::TracesConfig;
use hikyaku_types::traffic::Rate;

use super::Problems;
use crate::cli::Role;

/// Enough to see what goes on; a busy node would otherwise pay for each tenth message.
const RATE: Rate = Rate { count: NonZeroU32::new(20).unwrap(), per: Duration::from_secs(1) };
/// Some two megabytes.
const QUEUE: usize = 4_096;
const BATCH: usize = 512;
const TIMEOUT: Duration = Duration::from_secs(3);

/// Keys of their own, because they are at the top.
pub(super) struct RawTraces {
    pub(super) otlp_endpoint: Option<String>,
    pub(super) otlp_ca: Option<PathBuf>,
    pub(super) otlp_headers_file: Option<PathBuf>,
    pub(super) otlp_timeout_seconds: Option<u64>,
    pub(super) trace_sample_ratio: Option<f64>,
    pub(super) trace_rate: Option<String>,
    pub(super) trace_queue_spans: Option<usize>,
    pub(super) trace_batch_spans: Option<usize>,
}

/// `None`: there are no spans.
pub(super) fn check(
    raw: RawTraces,
    role: Role,
    instance: &str,
    problems: &mut Problems,
) -> Option<TracesConfig> {
    let sample_ratio = problems.within("trace_sample_ratio", raw.trace_sample_ratio, 0.1, 0.0..=1.0);
    let rate = raw.trace_rate.and_then(|text| problems.parse("trace_rate", &text)).unwrap_or(RATE);
    let queue = problems.within("trace_queue_spans", raw.trace_queue_spans, QUEUE, 16..=1_000_000);
    let batch = problems.within("trace_batch_spans", raw.trace_batch_spans, BATCH.min(queue), 1..=queue);
    let timeout = problems.seconds("otlp_timeout_seconds", raw.otlp_timeout_seconds, TIMEOUT, (1, 60));
    let Some(endpoint) = raw.otlp_endpoint else {
        for (key, file) in [("otlp_ca", &raw.otlp_ca), ("otlp_headers_file", &raw.otlp_headers_file)] {
            if let Some(file) = file {
                problems.note(key, file, "there is no otlp_endpoint");
            }
        }
        return None;
    };
    match endpoint.split_once("://") {
        Some(("https", _)) => {}
        Some(("http", _)) => {
            if let Some(file) = &raw.otlp_ca {
                problems.note("otlp_ca", file, "otlp_endpoint is not https");
            }
        }
        Some(_) | None => {
            problems.note("otlp_endpoint", &endpoint, "not http://host:port or https://host:port")
        }
    }
    Some(TracesConfig {
        endpoint,
        ca: raw.otlp_ca,
        headers_file: raw.otlp_headers_file,
        sample_ratio,
        rate,
        queue,
        batch,
        timeout,
        service_name: match role {
            Role::Up => "hikyaku",
            Role::Ingress => "hikyaku-ingress",
            Role::Delivery => "hikyaku-delivery",
            Role::Policy => "hikyaku-policy",
        }
        .to_owned(),
        instance: instance.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
    })
}
