//! Log records by OTLP. The library's queue is bounded and its thread sends; a collector that is gone loses records.

use std::{sync::Arc, time::Duration};

use hikyaku_mail_log::{Entry, Sink, TARGET};
use opentelemetry::{
    Key,
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity},
};
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};

use crate::traces::{self, TracesConfig, TracesError};

const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
#[error("failed to set up the OTLP exporter of the mail log")]
pub struct OtlpError(#[source] TracesError);

/// The body is the line, as the schema says; its event and its ids are attributes.
#[derive(Debug)]
pub struct Otlp {
    provider: SdkLoggerProvider,
    logger: SdkLogger,
}

impl Otlp {
    /// Needs a running Tokio runtime.
    ///
    /// To the collector of the traces, which knows us by the same.
    pub fn new(collector: &TracesConfig) -> Result<Self, OtlpError> {
        let builder = opentelemetry_otlp::LogExporter::builder().with_tonic();
        let builder = traces::connected(builder, collector).map_err(OtlpError)?;
        let exporter = builder.build().map_err(|error| OtlpError(error.into()))?;
        let provider = SdkLoggerProvider::builder()
            .with_resource(traces::resource(collector))
            .with_batch_exporter(exporter)
            .build();
        let logger = provider.logger(TARGET);
        Ok(Self { provider, logger })
    }
}

impl Sink for Otlp {
    fn write(&self, entry: &Arc<Entry>) {
        let mut record = self.logger.create_log_record();
        record.set_timestamp(entry.at);
        record.set_observed_timestamp(entry.at);
        record.set_severity_number(Severity::Info);
        record.set_severity_text("INFO");
        record.set_target(TARGET);
        record.add_attribute(Key::from_static_str("mail.event"), AnyValue::from(entry.event.name()));
        if let Some(id) = entry.event.queue_id() {
            record.add_attribute(Key::from_static_str("mail.queue_id"), AnyValue::from(id.to_owned()));
        }
        record.set_body(AnyValue::from(String::from_utf8_lossy(&entry.line).into_owned()));
        self.logger.emit(record);
    }

    fn flush(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(TIMEOUT) {
            tracing::debug!(%error, "the last lines of the mail log were not exported");
        }
    }
}
