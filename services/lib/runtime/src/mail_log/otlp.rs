//! Log records by OTLP. The library's thread sends them in batches; a collector that is gone loses records.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hikyaku_mail_log::{Entry, Sink, TARGET, metrics::lost, sink::Room};
use opentelemetry::{
    InstrumentationScope, Key,
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{
        BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLogRecord, SdkLogger,
        SdkLoggerProvider,
    },
};

use crate::traces::{self, TracesConfig, TracesError};

const SINK: &str = "otlp";
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
#[error("failed to set up the OTLP exporter of the mail log")]
pub struct OtlpError(#[source] TracesError);

/// The body is the line, as the schema says; its event and its ids are attributes.
#[derive(Debug)]
pub struct Otlp {
    provider: SdkLoggerProvider,
    logger: SdkLogger,
    room: Room,
    /// Lines that wait; none is taken any more when the process ends.
    waiting: Arc<AtomicU64>,
    has_ended: AtomicBool,
}

impl Otlp {
    /// Needs a running Tokio runtime.
    ///
    /// To the collector of the traces, which knows us by the same.
    pub fn new(collector: &TracesConfig) -> Result<Self, OtlpError> {
        let builder = opentelemetry_otlp::LogExporter::builder().with_tonic();
        let builder = traces::connected(builder, collector).map_err(OtlpError)?;
        let inner = builder.build().map_err(|error| OtlpError(error.into()))?;
        let room = Room::default();
        let waiting = Arc::new(AtomicU64::new(0));
        let exporter = Exporter {
            inner,
            room: room.clone(),
            waiting: Arc::clone(&waiting),
            fails: AtomicBool::new(false),
        };
        // What is too much is turned away here, where it is counted.
        let batches = BatchConfigBuilder::default().with_max_queue_size(Room::LINES).build();
        let provider = SdkLoggerProvider::builder()
            .with_resource(traces::resource(collector))
            .with_log_processor(BatchLogProcessor::builder(exporter).with_batch_config(batches).build())
            .build();
        let logger = provider.logger(TARGET);
        Ok(Self { provider, logger, room, waiting, has_ended: AtomicBool::new(false) })
    }
}

impl Sink for Otlp {
    fn write(&self, entry: &Arc<Entry>) {
        let line = String::from_utf8_lossy(&entry.line).into_owned();
        let is_taken = || !self.has_ended.load(Ordering::Relaxed);
        if !self.room.put(octets(&line), is_taken) {
            lost(SINK, 1);
            return;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
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
        record.set_body(AnyValue::from(line));
        self.logger.emit(record);
    }

    fn flush(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        if let Err(error) = self.provider.shutdown_with_timeout(TIMEOUT) {
            let lines = self.waiting.load(Ordering::Relaxed);
            lost(SINK, lines);
            tracing::warn!(%error, lines, "the last lines of the mail log were not exported");
        }
    }
}

/// A record is larger than its line, and than what has a place in the library's queue.
fn octets(line: &str) -> usize {
    const RECORD: usize = size_of::<(SdkLogRecord, InstrumentationScope)>();
    const { assert!(RECORD >= Room::SHORTEST) };
    RECORD + line.len()
}

/// Counts what is lost, says once that the collector takes nothing, and once that it does again.
#[derive(Debug)]
struct Exporter {
    inner: opentelemetry_otlp::LogExporter,
    room: Room,
    waiting: Arc<AtomicU64>,
    fails: AtomicBool,
}

impl LogExporter for Exporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let (lines, room) =
            batch.iter().fold((0, 0), |(lines, room), (record, _)| (lines + 1, room + taken(record)));
        let result = self.inner.export(batch).await;
        self.room.free(room);
        self.waiting.fetch_sub(lines, Ordering::Relaxed);
        if result.is_err() {
            lost(SINK, lines);
        }
        match (self.fails.swap(result.is_err(), Ordering::Relaxed), &result) {
            (false, Err(error)) => {
                tracing::warn!(%error, "the collector takes no lines of the mail log; they are lost to it");
            }
            (true, Ok(())) => tracing::info!("the collector takes lines of the mail log again"),
            (true, Err(_)) | (false, Ok(())) => {}
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

fn taken(record: &SdkLogRecord) -> usize {
    match record.body() {
        Some(AnyValue::String(line)) => octets(line.as_str()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use hikyaku_mail_log::{Event, Place, event::RouteExpired};

    use super::*;

    fn otlp(endpoint: String) -> Otlp {
        crate::crypto::install();
        Otlp::new(&TracesConfig::to(endpoint, None)).unwrap()
    }

    fn entry() -> Arc<Entry> {
        let place = Place { node: "n".to_owned(), role: "ingress".to_owned() };
        let event = Event::RouteExpired(RouteExpired { line: "a line".to_owned() });
        Arc::new(Entry::new(event, &place, SystemTime::now()).unwrap())
    }

    /// Whether they arrive or are lost, lines leave room for others.
    #[tokio::test(flavor = "multi_thread")]
    async fn lines_take_room_until_they_are_exported() {
        let collector = hikyaku_testkit::collector::Collector::start().await.unwrap();
        let nobody = hikyaku_testkit::port::unused().unwrap();
        for (at, arrive) in [(collector.address, 700), (nobody, 0)] {
            let otlp = otlp(format!("http://{at}"));
            (0..700).for_each(|_| otlp.write(&entry()));
            tokio::task::block_in_place(|| otlp.flush());
            assert_eq!((otlp.room.waiting(), otlp.waiting.load(Ordering::Relaxed)), (0, 0));
            assert_eq!(if at == nobody { 0 } else { collector.logs().len() }, arrive);
            otlp.write(&entry());
            assert_eq!(otlp.room.waiting(), 0, "it has ended");
        }
    }
}
