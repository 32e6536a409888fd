//! One question, put to one pod of the policy service after the other until one answers.

use std::{error::Error, time::Duration};

use hikyaku_grpc::{
    Channel,
    client::pods::{Pod, Pods},
    code_name,
};
use hikyaku_proto::policy::v1::{
    policy_service_client::PolicyServiceClient, policy_service_server::SERVICE_NAME,
};
use hikyaku_spans::{Span, declared::RPC_CLIENT, is_enabled};
use tokio::time::Instant;
use tonic::{
    Code, ConnectError, Request, Response, Status,
    metadata::{Ascii, MetadataKey},
};

use crate::error::PolicyUnavailable;

pub(crate) type Grpc = PolicyServiceClient<Channel>;

/// Of the time that is left, a pod gets one part in so many while there is another to ask.
const PARTS: u32 = 3;

/// When another pod may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Always,
    /// When nobody has heard the question, because it is counted.
    Unheard,
}

pub(crate) struct Question<Q> {
    /// As the service calls it.
    pub(crate) method: &'static str,
    pub(crate) text: Q,
    pub(crate) repeat: Repeat,
    /// Longest wait for the answer: connecting, and all pods.
    pub(crate) limit: Duration,
}

impl<Q: Clone> Question<Q> {
    pub(crate) async fn ask<A, F>(
        self,
        pods: &Pods,
        rpc: impl Fn(Grpc, Request<Q>) -> F,
    ) -> Result<A, PolicyUnavailable>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.limit;
        let answer = tokio::time::timeout_at(deadline, async {
            let turn = pods.in_turn().await;
            let mut fault = Status::unavailable("there is no policy service");
            // A kept connection may have ended unnoticed, so the first one is asked again in the end.
            for (n, pod) in turn.iter().chain(turn.first()).enumerate() {
                let is_last = self.repeat == Repeat::Unheard || n + 1 >= turn.len();
                let left = deadline.saturating_duration_since(Instant::now());
                let share = if is_last { left } else { left / PARTS };
                match self.ask_one(pod, share, &rpc).await {
                    Err(status) if is_fault(status.code()) => fault = status,
                    answer => {
                        pod.answered();
                        return answer;
                    }
                }
                pods.failed(pod);
                if self.repeat == Repeat::Unheard && !is_unheard(&fault) {
                    break;
                }
            }
            Err(fault)
        });
        match answer.await {
            Ok(answer) => answer.map_err(|status| PolicyUnavailable::Call(Box::new(status))),
            Err(_) => Err(PolicyUnavailable::Timeout(self.limit)),
        }
    }

    async fn ask_one<A, F>(
        &self,
        pod: &Pod,
        limit: Duration,
        rpc: &impl Fn(Grpc, Request<Q>) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let grpc = Grpc::new(pod.channel()).max_decoding_message_size(usize::MAX);
        let mut request = Request::new(self.text.clone());
        request.set_timeout(limit);
        let span = self.span(pod);
        span.origin().write(|name, value| {
            if let (Ok(name), Ok(value)) = (name.parse::<MetadataKey<Ascii>>(), value.parse()) {
                request.metadata_mut().insert(name, value);
            }
        });
        let answer = tokio::time::timeout(limit, rpc(grpc, request)).await;
        let late = || Status::deadline_exceeded(format!("{pod:?} did not answer within {limit:?}"));
        let answer = answer.unwrap_or_else(|_| Err(late()));
        ended(&span, answer.as_ref().err());
        answer.map(Response::into_inner)
    }

    /// What is asked for nobody in particular, such as the host map, has none.
    fn span(&self, pod: &Pod) -> Span {
        if !is_enabled() {
            return Span::none();
        }
        let span = Span::child(&RPC_CLIENT, format!("{SERVICE_NAME}/{}", self.method));
        span.set("rpc.system", "grpc");
        span.set("rpc.service", SERVICE_NAME);
        span.set("rpc.method", self.method);
        span.show("server.address", &pod.address().ip());
        span.set("server.port", i64::from(pod.address().port()));
        span
    }
}

/// Any status but OK is an error to who asked.
fn ended(span: &Span, fault: Option<&Status>) {
    span.set("rpc.grpc.status_code", fault.map_or(0, |status| i64::from(i32::from(status.code()))));
    if let Some(status) = fault {
        span.fail(code_name(status.code()));
    }
}

/// Another pod may know better: it has the right version, another file of callers, or is a policy service at all.
/// Only a question that cannot be read is one for all of them.
fn is_fault(code: Code) -> bool {
    code != Code::InvalidArgument
}

/// There was no connection.
fn is_unheard(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(cause) = source {
        if cause.is::<ConnectError>() {
            return true;
        }
        source = cause.source();
    }
    false
}
