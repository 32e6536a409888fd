//! Takes spans and counts them: what a collector costs a relay is what the relay itself does for it.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clap::Args;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tonic::{Request, Response, Status, transport::Server};

const NOTED_EVERY: Duration = Duration::from_millis(500);
/// A batch of spans with all their attributes.
const LARGEST: usize = 64 * 1024 * 1024;

#[derive(Debug, Args)]
pub struct Options {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:4317")]
    listen: SocketAddr,
    /// The number of spans so far is kept in this file.
    #[arg(long)]
    count: PathBuf,
}

#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

#[tonic::async_trait]
impl TraceService for Counter {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let spans =
            resources.iter().flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len());
        self.0.fetch_add(spans.sum(), Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Until it is ended.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let counter = Counter::default();
    let service = TraceServiceServer::new(counter.clone()).max_decoding_message_size(LARGEST);
    let noting = async {
        loop {
            std::fs::write(&options.count, counter.0.load(Ordering::Relaxed).to_string())?;
            tokio::time::sleep(NOTED_EVERY).await;
        }
    };
    tokio::select! {
        served = Server::builder().add_service(service).serve(options.listen) => Ok(served?),
        noted = noting => noted,
    }
}
