//! gRPC for operators. Any worker answers for the whole queue; it needs no actor for that.

mod queue; // entries
mod bounce; // entries back to their senders
mod destination; // what waits where, and what is said of it
mod dead; // dead letters
mod job; // changes that take their time
mod wire; // ours -> generated types, and back
mod status; // the only way from an error to a gRPC status

use std::sync::Arc;

use hikyaku_proto::{
    DESCRIPTOR,
    admin::v1::{
        dead_letter_admin_service_server::DeadLetterAdminServiceServer,
        destination_admin_service_server::DestinationAdminServiceServer,
        queue_admin_service_server::QueueAdminServiceServer,
    },
};
use hikyaku_queue::{browse::Browser, dead::DeadLetters};
use hikyaku_types::shard::ShardCount;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::context::Context;

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("failed to set up gRPC reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    #[error("the admin service ended")]
    Serve(#[source] tonic::transport::Error),
}

/// What the services need; cheap to clone.
#[derive(Clone)]
pub struct Admin {
    context: Arc<Context>,
    browser: Browser,
    dead: DeadLetters,
}

impl Admin {
    pub(crate) fn new(context: Arc<Context>, shards: ShardCount) -> Self {
        let browser = Browser::new(context.nats.clone(), shards);
        let dead = DeadLetters::new(context.nats.clone());
        Self { context, browser, dead }
    }

    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), AdminError> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR)
            .build_v1()
            .map_err(AdminError::Reflection)?;
        Server::builder()
            .add_service(reflection)
            .add_service(QueueAdminServiceServer::new(self.clone()))
            .add_service(DestinationAdminServiceServer::new(self.clone()))
            .add_service(DeadLetterAdminServiceServer::new(self))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.cancelled_owned())
            .await
            .map_err(AdminError::Serve)
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("browser", &self.browser).finish_non_exhaustive()
    }
}
