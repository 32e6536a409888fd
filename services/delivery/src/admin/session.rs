//! Sessions as they go on, for operators (SEED-203).

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures::{Stream, StreamExt as _};
use hikyaku_proto::admin::v1::{
    self as proto, session_admin_service_server::SessionAdminService, trace_sessions_request::Target as Asked,
};
use hikyaku_queue::watch::{self, Envelope, Kind, Line, Target};
use hikyaku_types::destination::Destination;
use ipnet::IpNet;
use tonic::{Request, Response, Status};

use super::Admin;

/// If nobody says otherwise.
const USUAL: Duration = Duration::from_secs(600);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3_600);

type Lines = Pin<Box<dyn Stream<Item = Result<proto::TraceSessionsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl SessionAdminService for Admin {
    type TraceSessionsStream = Lines;

    async fn trace_sessions(
        &self,
        request: Request<proto::TraceSessionsRequest>,
    ) -> Result<Response<Lines>, Status> {
        let who = hikyaku_grpc::who(&request);
        let proto::TraceSessionsRequest { target, duration } = request.into_inner();
        let target = wanted(target)?;
        let duration = match duration.map(Duration::try_from) {
            None => USUAL,
            Some(Ok(asked)) if (SHORTEST..=LONGEST).contains(&asked) => asked,
            Some(_) => return Err(Status::invalid_argument("duration: want a second to an hour")),
        };
        let busy = "others watch sessions already; try again when that has ended";
        let watching = Arc::clone(&self.watchers).try_acquire_owned();
        let watching = watching.map_err(|_| Status::resource_exhausted(busy))?;
        tracing::info!(who, ?target, seconds = duration.as_secs(), "an operator watches sessions");
        let lines = watch::watch(&self.context.nats, target).await;
        let lines = lines.ok_or_else(|| Status::unavailable("the broker does not pass lines on"))?;
        let lines = lines.take_until(tokio::time::sleep(duration)).map(move |line| {
            let _watching = &watching;
            Ok(traced(line))
        });
        Ok(Response::new(Box::pin(lines)))
    }
}

fn wanted(asked: Option<Asked>) -> Result<Target, Status> {
    match asked {
        Some(Asked::Client(text)) => {
            let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            let network = address.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
                Status::invalid_argument(format!("client: {text:?} is no address and no network"))
            })?;
            Ok(Target::Client(network))
        }
        Some(Asked::Destination(text)) => match text.parse::<Destination>() {
            Ok(destination) => Ok(Target::Destination(destination.to_string())),
            Err(error) => Err(Status::invalid_argument(format!("destination: {text:?}: {error}"))),
        },
        None => Err(Status::invalid_argument("target: want a client or a destination")),
    }
}

fn traced(line: Line) -> proto::TraceSessionsResponse {
    let Line { node, session, at, after, kind, text, envelope, lost } = line;
    let kind = match kind {
        Kind::Client => proto::LineKind::Client,
        Kind::Server => proto::LineKind::Server,
        Kind::Decision => proto::LineKind::Decision,
        Kind::Note => proto::LineKind::Note,
    };
    let about = |about: Envelope| {
        let Envelope { client, is_submission: submission, identity, certificate, reverse_path, forward_path } =
            about;
        let client = client.to_string();
        proto::TracedEnvelope { client, submission, identity, reverse_path, forward_path, certificate }
    };
    proto::TraceSessionsResponse {
        node,
        session,
        at: Some((UNIX_EPOCH + Duration::from_millis(at)).into()),
        after: Duration::from_millis(after).try_into().ok(),
        kind: kind.into(),
        text,
        envelope: envelope.map(about),
        lost,
    }
}
