//! Logs on standard output, traces by OTLP when an endpoint is given.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::traces::{self, Traces, TracesConfig, TracesError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for collectors.
    Json,
    /// For people.
    Text,
}

#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    pub log_format: LogFormat,
    /// Directives of `tracing_subscriber::EnvFilter`, for example `info,hikyaku_smtp=trace`.
    pub log_filter: String,
    /// `None`: there are no spans at all.
    pub traces: Option<TracesConfig>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter {filter:?} is not valid")]
    Filter {
        filter: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error(transparent)]
    Traces(#[from] TracesError),
    #[error("failed to install the log")]
    Install(#[source] tracing_subscriber::util::TryInitError),
}

/// Keep it until the end, then call [`Telemetry::shutdown`].
#[derive(Debug)]
#[must_use]
pub struct Telemetry(Option<Traces>);

/// Needs a running Tokio runtime.
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|source| TelemetryError::Filter { filter: config.log_filter.clone(), source })?;
    let log = match config.log_format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).boxed(),
        LogFormat::Text => fmt::layer().with_ansi(std::io::stdout().is_terminal()).boxed(),
    };
    // A line says all that it has to say; the spans of libraries are nobody's.
    let filter = filter.and(filter_fn(|metadata| !metadata.is_span()));
    tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .try_init()
        .map_err(TelemetryError::Install)?;
    traces::carry();
    Ok(Telemetry(config.traces.as_ref().map(start).transpose()?))
}

fn start(config: &TracesConfig) -> Result<Traces, TracesError> {
    let unread = traces::unread_variables();
    if !unread.is_empty() {
        tracing::warn!(?unread, "variables for OpenTelemetry do not count; the configuration does");
    }
    traces::start(config)
}

impl Telemetry {
    /// Sends what is buffered.
    pub fn shutdown(self) {
        if let Some(traces) = self.0 {
            traces.shutdown();
        }
    }
}
