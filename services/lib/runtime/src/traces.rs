//! Spans -> a collector, by OTLP over gRPC. A collector that is slow, away or silent costs spans and nothing
//! else: so many wait in memory, one batch is under way for so long, and what does not fit is dropped and counted.

mod sampler; // which traces

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use hikyaku_types::traffic::Rate;
use opentelemetry::{Context, KeyValue, global, trace::TracerProvider as _};
use opentelemetry_otlp::{
    WithExportConfig, WithTonicConfig,
    tonic_types::{
        metadata::MetadataMap,
        transport::{Certificate, ClientTlsConfig},
    },
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    resource::EnvResourceDetector,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter,
        SpanProcessor,
    },
};

use self::sampler::Follow;

/// Counter: spans by what became of them; `outcome` = exported, failed, dropped.
pub const SPANS: &str = "telemetry.spans";

/// A batch that is not full waits for others so long.
const INTERVAL: Duration = Duration::from_secs(2);
const MAX_ATTRIBUTES: u32 = 32;
const MAX_LINKS: u32 = 4;
const MAX_EVENTS: u32 = 8;

#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// OTLP/gRPC, for example `http://collector:4317`.
    pub endpoint: String,
    /// Authorities of its certificate; without them those of the system.
    pub ca: Option<PathBuf>,
    /// Sent with each export, a line `name: value` each: what the collector wants to see.
    pub headers_file: Option<PathBuf>,
    /// Share of traces that is exported, 0 to 1.
    pub sample_ratio: f64,
    /// Traces that are begun here for export, at most.
    pub rate: Rate,
    /// Spans that wait in memory.
    pub queue: usize,
    /// Spans of one export.
    pub batch: usize,
    /// Longest wait for the collector's answer.
    pub timeout: Duration,
    pub service_name: String,
    pub instance: String,
    pub version: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("failed to read {path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("line {line} of {path} is not of the form \"name: value\"")]
    Header { path: PathBuf, line: usize },
    #[error("failed to set up the OTLP exporter")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Keep it until the end.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    patience: Duration,
}

/// What came with mail travels on with it, also through processes that export nothing.
pub(crate) fn carry() {
    global::set_text_map_propagator(TraceContextPropagator::new());
}

/// Needs a running Tokio runtime.
pub(crate) fn start(config: &TracesConfig) -> Result<Traces, TracesError> {
    let builder = connected(opentelemetry_otlp::SpanExporter::builder().with_tonic(), config)?;
    let waiting = Arc::new(AtomicUsize::new(0));
    let exporter =
        Exporter { inner: builder.build()?, waiting: Arc::clone(&waiting), fails: AtomicBool::new(false) };
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(config.queue)
        .with_max_export_batch_size(config.batch)
        .with_scheduled_delay(INTERVAL)
        .build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(config))
        .with_sampler(Follow::new(config.sample_ratio, config.rate))
        .with_max_attributes_per_span(MAX_ATTRIBUTES)
        .with_max_links_per_span(MAX_LINKS)
        .with_max_events_per_span(MAX_EVENTS)
        .with_span_processor(Bounded { inner: batches, waiting, limit: config.queue })
        .build();
    hikyaku_spans::enable(global::BoxedTracer::new(Box::new(provider.tracer("hikyaku"))));
    Ok(Traces { provider, patience: config.timeout })
}

/// An exporter to the collector, of whatever.
pub(crate) fn connected<B: WithExportConfig + WithTonicConfig>(
    builder: B,
    config: &TracesConfig,
) -> Result<B, TracesError> {
    let builder = builder
        .with_endpoint(&config.endpoint)
        .with_timeout(config.timeout)
        .with_metadata(MetadataMap::from_headers(headers(config)?));
    Ok(if config.endpoint.starts_with("https:") { builder.with_tls_config(tls(config)?) } else { builder })
}

impl Traces {
    /// Sends what is left, as long as one export may take.
    pub(crate) fn shutdown(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(self.patience) {
            tracing::info!(%error, "last spans were not exported");
        }
    }
}

/// What the environment says goes before what we say of ourselves; which process this is in the cluster is ours.
pub(crate) fn resource(config: &TracesConfig) -> Resource {
    let ours = [
        KeyValue::new("service.name", config.service_name.clone()),
        KeyValue::new("service.namespace", "hikyaku"),
        KeyValue::new("service.version", config.version),
    ];
    let named = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    Resource::builder_empty()
        .with_attributes(ours)
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(named.map(|name| KeyValue::new("service.name", name)))
        .with_attribute(KeyValue::new("service.instance.id", config.instance.clone()))
        .build()
}

fn read(path: &PathBuf) -> Result<Vec<u8>, TracesError> {
    fs::read(path).map_err(|source| TracesError::File { path: path.clone(), source })
}

fn tls(config: &TracesConfig) -> Result<ClientTlsConfig, TracesError> {
    let tls = ClientTlsConfig::new();
    Ok(match &config.ca {
        Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
        None => tls.with_enabled_roots(),
    })
}

fn headers(config: &TracesConfig) -> Result<HeaderMap, TracesError> {
    let mut headers = HeaderMap::new();
    let Some(path) = &config.headers_file else { return Ok(headers) };
    let text = read(path)?;
    for (n, line) in String::from_utf8_lossy(&text).lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let parsed = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::try_from(name.trim().to_ascii_lowercase()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        // The line is not shown: it is a secret.
        let (name, mut value) =
            parsed.ok_or_else(|| TracesError::Header { path: path.clone(), line: n + 1 })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Takes so many spans at a time.
#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::counter!(SPANS, "outcome" => "dropped").increment(1);
            return;
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Says once that the collector takes nothing, and once that it does again.
#[derive(Debug)]
struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    waiting: Arc<AtomicUsize>,
    fails: AtomicBool,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.inner.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let outcome = if result.is_ok() { "exported" } else { "failed" };
        metrics::counter!(SPANS, "outcome" => outcome).increment(u64::try_from(count).unwrap_or(u64::MAX));
        match (self.fails.swap(result.is_err(), Ordering::Relaxed), &result) {
            (false, Err(error)) => tracing::warn!(%error, "the collector takes no spans; they are dropped"),
            (true, Ok(())) => tracing::info!("the collector takes spans again"),
            (true, Err(_)) | (false, Ok(())) => {}
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Variables of the OpenTelemetry specification that are set and that nobody reads here: the configuration counts.
pub(crate) fn unread_variables() -> Vec<String> {
    const READ: [&str; 2] = ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"];
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unread: Vec<String> =
        names.filter(|name| name.starts_with("OTEL_") && !READ.contains(&name.as_str())).collect();
    unread.sort();
    unread
}

#[cfg(test)]
impl TracesConfig {
    pub(crate) fn to(endpoint: String, headers_file: Option<PathBuf>) -> Self {
        Self {
            endpoint,
            ca: None,
            headers_file,
            sample_ratio: 1.0,
            rate: "20/s".parse().unwrap(),
            queue: 10,
            batch: 5,
            timeout: Duration::from_secs(1),
            service_name: "test".to_owned(),
            instance: "node-1".to_owned(),
            version: "1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(headers_file: Option<PathBuf>) -> TracesConfig {
        TracesConfig::to("http://127.0.0.1:1".to_owned(), headers_file)
    }

    #[test]
    fn headers_come_from_a_file_and_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        fs::write(&path, "Authorization: Bearer abc:def\n\nx-scope : tenant \n").unwrap();
        let read = headers(&config(Some(path.clone()))).unwrap();
        assert_eq!(read["authorization"], "Bearer abc:def");
        assert_eq!(read["x-scope"], "tenant");
        assert!(!format!("{read:?}").contains("abc"));
        fs::write(&path, "x-scope: tenant\nsecret-without-colon\n").unwrap();
        let error = headers(&config(Some(path))).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
    }
}
