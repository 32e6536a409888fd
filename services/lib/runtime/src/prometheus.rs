//! The metrics endpoint: `GET /metrics` in the Prometheus text format.

use std::net::SocketAddr;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder};

/// A histogram without buckets would become a summary, which cannot be added up over pods.
/// From half a millisecond to a day, in seconds or, for sizes, in bytes.
const SECONDS: [f64; 18] = [
    0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1_800.0,
    14_400.0, 86_400.0,
];
const BYTES: [f64; 9] =
    [1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];

#[derive(Debug, thiserror::Error)]
#[error("failed to serve metrics on {address}")]
pub struct PrometheusError {
    address: SocketAddr,
    #[source]
    source: BuildError,
}

/// Installs the recorder and serves it. Call it before any metric is touched: a handle made
/// earlier stays silent for ever.
pub fn serve(address: SocketAddr) -> Result<(), PrometheusError> {
    let failed = |source| PrometheusError { address, source };
    PrometheusBuilder::new()
        .with_recommended_naming(true)
        .with_http_listener(address)
        .set_buckets(&SECONDS)
        .and_then(|builder| {
            let sizes = metrics_exporter_prometheus::Matcher::Suffix("size".to_owned());
            builder.set_buckets_for_metric(sizes, &BYTES)
        })
        .and_then(PrometheusBuilder::install)
        .map_err(failed)
}
