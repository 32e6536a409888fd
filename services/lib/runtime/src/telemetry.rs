//! Logs on standard output, traces by OTLP when an endpoint is given.

use std::io::{self, IsTerminal as _, Write};

use bytes::Bytes;
use hikyaku_mail_log::sink::Output;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    metrics::LINES_LOST,
    traces::{self, Traces, TracesConfig, TracesError},
};

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
    #[error("failed to write to standard output")]
    Output(#[source] io::Error),
    #[error("failed to install the log")]
    Install(#[source] tracing_subscriber::util::TryInitError),
}

/// Keep it until the end, then call [`Telemetry::shutdown`].
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    traces: Option<Traces>,
    output: Last,
}

/// What was logged before the process ends is written, also when that is because of an error.
#[derive(Debug)]
struct Last(Output);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// One line of the log, which goes out when it is complete.
struct Line {
    octets: Vec<u8>,
    output: Output,
}

impl Write for Line {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.octets.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.octets);
        let length = line.strip_suffix(b"\n").map_or(line.len(), <[u8]>::len);
        if length > 0 {
            let line = Bytes::from(line).slice(..length);
            self.output.write(line, || metrics::counter!(LINES_LOST).increment(1));
        }
    }
}

/// Needs a running Tokio runtime.
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|source| TelemetryError::Filter { filter: config.log_filter.clone(), source })?;
    // Who reads standard output may stop reading: nobody waits for that.
    let output = Output::standard().map_err(TelemetryError::Output)?;
    let lines = output.clone();
    let line = move || Line { octets: Vec::new(), output: lines.clone() };
    let log = match config.log_format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(line).boxed(),
        LogFormat::Text => fmt::layer().with_ansi(io::stdout().is_terminal()).with_writer(line).boxed(),
    };
    // A line says all that it has to say; the spans of libraries are nobody's.
    let filter = filter.and(filter_fn(|metadata| !metadata.is_span()));
    tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .try_init()
        .map_err(TelemetryError::Install)?;
    traces::carry();
    let output = Last(output);
    Ok(Telemetry { traces: config.traces.as_ref().map(start).transpose()?, output })
}

fn start(config: &TracesConfig) -> Result<Traces, TracesError> {
    let unread = traces::unread_variables();
    if !unread.is_empty() {
        tracing::warn!(?unread, "variables for OpenTelemetry do not count; the configuration does");
    }
    traces::start(config)
}

impl Telemetry {
    /// Where the log goes.
    pub fn output(&self) -> Output {
        self.output.0.clone()
    }

    /// Sends what is buffered.
    pub fn shutdown(self) {
        if let Some(traces) = self.traces {
            traces.shutdown();
        }
    }
}
