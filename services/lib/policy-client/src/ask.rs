//! One question, put to one pod of the policy service after the other until one answers.

use std::{error::Error, time::Duration};

use hikyaku_grpc::{
    Channel,
    client::pods::{Pod, Pods},
};
use hikyaku_proto::policy::v1::policy_service_client::PolicyServiceClient;
use tokio::time::Instant;
use tonic::{Code, ConnectError, Request, Response, Status};

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
        let answer = tokio::time::timeout(limit, rpc(grpc, request)).await;
        let late = || Status::deadline_exceeded(format!("{pod:?} did not answer within {limit:?}"));
        answer.map_err(|_| late())?.map(Response::into_inner)
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
