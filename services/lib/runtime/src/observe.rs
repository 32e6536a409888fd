//! What others may ask this process over HTTP: `/metrics` in the Prometheus text format or, who wants it, in
//! OpenMetrics with exemplars, `/livez` whether it runs, `/readyz` whether it can do its work.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

mod callers; // how many may ask, and for how long
mod exemplars; // which trace was the last one in a bucket
mod open_metrics; // the exporter's text, with them
mod readiness; // what has to hold before work is sent here

pub use readiness::Readiness;

use callers::Callers;
use exemplars::{Exemplars, Recorder};

/// A histogram without buckets would become a summary, which cannot be added up over pods.
/// From half a millisecond to a day, in seconds or, for sizes, in bytes.
const SECONDS: [f64; 18] = [
    0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1_800.0,
    14_400.0, 86_400.0,
];
const BYTES: [f64; 9] =
    [1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];
/// Sizes have names that end so.
const SIZE: &str = "size";
/// What histograms were given is put into their buckets so often.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
#[error("failed to serve metrics on {address}")]
pub struct ObserveError {
    address: SocketAddr,
    #[source]
    source: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("the recorder was not installed")]
    Recorder(#[from] BuildError),
    #[error("there is another recorder")]
    Installed,
    #[error("the address was not bound")]
    Bind(#[from] io::Error),
}

/// Installs the recorder and serves it. Call it before any metric is touched: a handle made
/// earlier stays silent for ever.
pub async fn serve(address: SocketAddr, readiness: Readiness) -> Result<(), ObserveError> {
    let failed = |source| ObserveError { address, source };
    let (metrics, exemplars) = install().map_err(failed)?;
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| failed(error.into()))?;
    tokio::spawn(upkeep(metrics.clone()));
    let router = Router::new()
        .route(
            "/metrics",
            get(async move |headers: HeaderMap| {
                crate::metrics::look_at_process();
                shown(&metrics, &exemplars, &headers)
            }),
        )
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(async move || answer(&readiness)));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(Callers::of(listener), router).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok(())
}

fn install() -> Result<(PrometheusHandle, Arc<Exemplars>), Why> {
    let (recorder, metrics, exemplars) = recorder()?;
    metrics::set_global_recorder(recorder).map_err(|_| Why::Installed)?;
    Ok((metrics, exemplars))
}

/// With the two that show what it was given.
fn recorder() -> Result<(Recorder, PrometheusHandle, Arc<Exemplars>), BuildError> {
    let exporter = PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix(SIZE.to_owned()), &BYTES)?
        .build_recorder();
    let (metrics, exemplars) = (exporter.handle(), Arc::<Exemplars>::default());
    Ok((Recorder::new(exporter, Arc::clone(&exemplars)), metrics, exemplars))
}

/// Upper bounds of a histogram's buckets, without the last one, which has none; and of what they are.
fn buckets(name: &str) -> (&'static [f64], Unit) {
    if name.ends_with(SIZE) { (&BYTES, Unit::Bytes) } else { (&SECONDS, Unit::Seconds) }
}

fn shown(metrics: &PrometheusHandle, exemplars: &Exemplars, headers: &HeaderMap) -> Response {
    if !open_metrics::is_wanted(headers) {
        return metrics.render().into_response();
    }
    // First, so that what they stand for has been counted.
    let exemplars = exemplars.by_series();
    let text = open_metrics::render(&metrics.render(), &exemplars);
    ([(CONTENT_TYPE, open_metrics::CONTENT_TYPE)], text).into_response()
}

async fn upkeep(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.run_upkeep();
    }
}

fn answer(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.check() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
    }
}

impl fmt::Display for readiness::Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}
