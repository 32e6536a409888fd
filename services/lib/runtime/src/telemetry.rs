//! Logs on standard output, traces by OTLP when an endpoint is given.
//!
//! Spans have identities in any case, so that the trace context in the queue is real
//! whether or not this process exports.

use std::{io::IsTerminal as _, time::Duration};

use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for collectors.
    Json,
    /// For people.
    Text,
}

#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    pub service_name: &'static str,
    pub log_format: LogFormat,
    /// Directives of `tracing_subscriber::EnvFilter`, for example `info,hikyaku_smtp=trace`.
    pub log_filter: String,
    /// OTLP/gRPC endpoint for traces, for example `http://collector:4317`.
    pub otlp_endpoint: Option<String>,
    /// Share of traces that is exported, 0 to 1.
    pub sample_ratio: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter {filter:?} is not valid")]
    Filter {
        filter: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("failed to set up the OTLP exporter")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    #[error("failed to install the log")]
    Install(#[source] tracing_subscriber::util::TryInitError),
}

/// Keep it until the end, then call [`Telemetry::shutdown`].
#[derive(Debug)]
#[must_use]
pub struct Telemetry(SdkTracerProvider);

/// Needs a running Tokio runtime.
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|source| TelemetryError::Filter { filter: config.log_filter.clone(), source })?;
    let provider = tracer_provider(config)?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    let tracer = provider.tracer(config.service_name);
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.is_span()));
    let log = match config.log_format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).boxed(),
        LogFormat::Text => fmt::layer().with_ansi(std::io::stdout().is_terminal()).boxed(),
    };
    // A line says all that it has to say; spans are for the exporter.
    let filter = filter.and(filter_fn(|metadata| !metadata.is_span()));
    tracing_subscriber::registry()
        .with(spans)
        .with(log.with_filter(filter))
        .try_init()
        .map_err(TelemetryError::Install)?;
    Ok(Telemetry(provider))
}

fn tracer_provider(config: &TelemetryConfig) -> Result<SdkTracerProvider, TelemetryError> {
    let resource = Resource::builder().with_service_name(config.service_name).build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(endpoint) = &config.otlp_endpoint else {
        return Ok(builder.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff))).build());
    };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(TelemetryError::Exporter)?;
    let ratio = Sampler::TraceIdRatioBased(config.sample_ratio);
    Ok(builder.with_batch_exporter(exporter).with_sampler(Sampler::ParentBased(Box::new(ratio))).build())
}

impl Telemetry {
    /// Sends what is buffered.
    pub fn shutdown(self) {
        if let Err(error) = self.0.shutdown_with_timeout(EXPORT_TIMEOUT) {
            tracing::debug!(%error, "last spans were not exported");
        }
    }
}
