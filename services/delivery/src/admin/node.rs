//! Who delivers: the roster, for operators.

use hikyaku_proto::admin::v1::{self as proto, node_admin_service_server::NodeAdminService};
use hikyaku_queue::{kv::KvError, roster::Member};
use hikyaku_runtime::error_chain::chain;
use tonic::{Request, Response, Status};

use super::{Admin, wire::timestamp};

#[tonic::async_trait]
impl NodeAdminService for Admin {
    async fn list_nodes(
        &self,
        _request: Request<proto::ListNodesRequest>,
    ) -> Result<Response<proto::ListNodesResponse>, Status> {
        let members = self.roster.members().await.map_err(failed)?;
        let workers = members.into_iter().map(worker).collect();
        Ok(Response::new(proto::ListNodesResponse { workers, shards: self.shards.get().into() }))
    }

    async fn drain_node(
        &self,
        request: Request<proto::DrainNodeRequest>,
    ) -> Result<Response<proto::DrainNodeResponse>, Status> {
        let who = hikyaku_grpc::who(&request);
        let proto::DrainNodeRequest { node, resume } = request.into_inner();
        let members = self.roster.members().await.map_err(failed)?;
        if !members.iter().any(|member| member.record.node == node) {
            return Err(Status::not_found(format!("no delivery worker runs on a node named {node:?}")));
        }
        self.roster.order_drain(&node, !resume).await.map_err(failed)?;
        tracing::info!(who, node, resume, "a node is taken out of service, or back");
        Ok(Response::new(proto::DrainNodeResponse {}))
    }
}

fn worker(member: Member) -> proto::Worker {
    let Member { id, record, shards, seen_at } = member;
    proto::Worker {
        id: id.to_string(),
        node: record.node,
        draining: record.draining,
        shards: shards.into_iter().map(|shard| shard.get().into()).collect(),
        seen_at: Some(timestamp(seen_at)),
    }
}

fn failed(error: KvError) -> Status {
    let text = chain(&error);
    tracing::warn!(error = text, "admin call failed");
    Status::unavailable(text)
}
