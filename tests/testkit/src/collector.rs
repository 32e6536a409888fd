//! A collector of traces and logs: OTLP over gRPC, with what arrived kept as it came.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span, status::StatusCode},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Identity, Server, ServerTlsConfig},
};

use crate::certificates::Pair;

/// A span, with ids in hexadecimal digits.
#[derive(Debug, Clone, Default)]
pub struct Arrived {
    /// Of the process.
    pub resource: BTreeMap<String, String>,
    pub name: String,
    /// SPAN_KIND_SERVER and so on.
    pub kind: String,
    pub trace: String,
    pub id: String,
    /// Empty: the trace begins with it.
    pub parent: String,
    /// Trace and span of each.
    pub links: Vec<(String, String)>,
    pub attributes: BTreeMap<String, String>,
    pub is_error: bool,
}

impl Arrived {
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// What a link to it says.
    pub fn place(&self) -> (String, String) {
        (self.trace.clone(), self.id.clone())
    }
}

/// The body of a log record, and its attributes.
pub type Record = (String, BTreeMap<String, String>);

#[derive(Clone, Default)]
struct Seen {
    spans: Arc<Mutex<Vec<Arrived>>>,
    authorizations: Arc<Mutex<Vec<String>>>,
    logs: Arc<Mutex<Vec<Record>>>,
}

pub struct Collector {
    pub address: SocketAddr,
    seen: Seen,
}

impl Collector {
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    /// Over TLS.
    pub async fn secured(pair: &Pair) -> anyhow::Result<Self> {
        Self::start_with(Some(Identity::from_pem(&pair.certificate, &pair.key))).await
    }

    async fn start_with(identity: Option<Identity>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Seen::default();
        let mut server = Server::builder();
        if let Some(identity) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
        }
        let server = server
            .add_service(TraceServiceServer::new(seen.clone()))
            .add_service(LogsServiceServer::new(seen.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(Self { address, seen })
    }

    pub fn spans(&self) -> Vec<Arrived> {
        self.seen.spans.lock().unwrap().clone()
    }

    pub fn logs(&self) -> Vec<Record> {
        self.seen.logs.lock().unwrap().clone()
    }

    /// The `authorization` of each export, or nothing.
    pub fn authorizations(&self) -> Vec<String> {
        self.seen.authorizations.lock().unwrap().clone()
    }
}

#[tonic::async_trait]
impl TraceService for Seen {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.authorizations.lock().unwrap().push(authorization.to_owned());
        let arrived = request.into_inner().resource_spans.into_iter().flat_map(of_resource);
        self.spans.lock().unwrap().extend(arrived);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Seen {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
        let records = scopes.flat_map(|scope| scope.log_records);
        let arrived = records.map(|record| {
            let body =
                texts(vec![KeyValue { key: String::new(), value: record.body, ..KeyValue::default() }]);
            (body.into_values().next().unwrap_or_default(), texts(record.attributes))
        });
        self.logs.lock().unwrap().extend(arrived);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

fn of_resource(spans: ResourceSpans) -> Vec<Arrived> {
    let resource = texts(spans.resource.map(|resource| resource.attributes).unwrap_or_default());
    let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| arrived(span, resource.clone())).collect()
}

fn arrived(span: Span, resource: BTreeMap<String, String>) -> Arrived {
    Arrived {
        resource,
        kind: span.kind().as_str_name().to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        is_error: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        attributes: texts(span.attributes),
        name: span.name,
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
