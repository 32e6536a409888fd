//! gRPC for operators. Any worker answers for the whole queue; it needs no actor for that.

mod queue; // entries
mod bounce; // entries back to their senders
mod destination; // what waits where, and what is said of it
mod dead; // dead letters
mod custody; // is every recipient accounted for?
mod node; // who delivers
mod doctor; // what is wrong
mod session; // what goes on
mod message; // what became of a message
mod job; // changes that take their time
mod wire; // ours -> generated types, and back
mod status; // the only way from an error to a gRPC status

use std::sync::Arc;

use hikyaku_grpc::Guard;
use hikyaku_proto::{
    DESCRIPTOR,
    admin::v1::{
        custody_admin_service_server::CustodyAdminServiceServer,
        dead_letter_admin_service_server::DeadLetterAdminServiceServer,
        destination_admin_service_server::DestinationAdminServiceServer,
        doctor_admin_service_server::DoctorAdminServiceServer,
        message_admin_service_server::MessageAdminServiceServer,
        node_admin_service_server::NodeAdminServiceServer,
        queue_admin_service_server::QueueAdminServiceServer,
        session_admin_service_server::SessionAdminServiceServer,
    },
};
use hikyaku_queue::{
    browse::Browser, check::Checker, custody::audit::Auditor, dead::DeadLetters, roster::Roster,
};
use hikyaku_types::shard::ShardCount;
use tokio::{
    net::TcpListener,
    sync::{Mutex, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::context::Context;
use custody::Tools;

/// At the same time.
const DIAGNOSES: usize = 4;
const WATCHERS: usize = 4;
const SEARCHES: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("failed to set up gRPC reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    #[error("failed to read the address of the listener")]
    Listener(#[source] std::io::Error),
    #[error("the admin service ended")]
    Serve(#[source] tonic::transport::Error),
}

/// What the services need; cheap to clone.
#[derive(Clone)]
pub struct Admin {
    context: Arc<Context>,
    browser: Browser,
    dead: DeadLetters,
    tools: Arc<Mutex<Tools>>,
    /// One examination at a time.
    doctor: Arc<Mutex<()>>,
    diagnoses: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    searches: Arc<Semaphore>,
    roster: Roster,
    shards: ShardCount,
}

impl Admin {
    pub(crate) fn new(context: Arc<Context>, roster: Roster, shards: ShardCount) -> Self {
        let browser = Browser::new(context.nats.clone(), shards);
        let dead = DeadLetters::new(context.nats.clone());
        let auditor = Auditor::new(context.nats.clone(), shards);
        let checker = Checker::new(context.nats.clone(), shards);
        let tools = Arc::new(Mutex::new(Tools { auditor, checker }));
        Self {
            context,
            browser,
            dead,
            tools,
            doctor: Arc::default(),
            diagnoses: Arc::new(Semaphore::new(DIAGNOSES)),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            searches: Arc::new(Semaphore::new(SEARCHES)),
            roster,
            shards,
        }
    }

    pub async fn serve(
        self,
        listener: TcpListener,
        guard: Guard,
        shutdown: CancellationToken,
    ) -> Result<(), AdminError> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR)
            .build_v1()
            .map_err(AdminError::Reflection)?;
        let gate = guard.gate(&listener).map_err(AdminError::Listener)?;
        Server::builder()
            .layer(gate)
            .add_service(reflection)
            .add_service(QueueAdminServiceServer::new(self.clone()))
            .add_service(DestinationAdminServiceServer::new(self.clone()))
            .add_service(CustodyAdminServiceServer::new(self.clone()))
            .add_service(NodeAdminServiceServer::new(self.clone()))
            .add_service(SessionAdminServiceServer::new(self.clone()))
            .add_service(MessageAdminServiceServer::new(self.clone()))
            .add_service(DoctorAdminServiceServer::new(self.clone()))
            .add_service(DeadLetterAdminServiceServer::new(self))
            .serve_with_incoming_shutdown(guard.incoming(listener), shutdown.cancelled_owned())
            .await
            .map_err(AdminError::Serve)
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("browser", &self.browser).finish_non_exhaustive()
    }
}
