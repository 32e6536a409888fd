//! Puts the service together and runs it until it is told to stop.

use std::{io, time::Duration};

use hikyaku_grpc::Guard;
use hikyaku_proto::{
    directory::v1::directory_service_server::DirectoryServiceServer,
    policy::v1::policy_service_server::PolicyServiceServer,
};
use hikyaku_queue::{Nats, kv::KvError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{server::NamedService as _, transport::Server};
use tonic_health::server::{HealthReporter, health_reporter};
use tracing::info;

use crate::{
    authenticate::Authenticator,
    config::PolicyConfig,
    grpc::{directory::DirectoryGrpc, policy::PolicyGrpc},
    ldap::LdapServers,
    recipients::Recipients,
    rules::Surroundings,
    store::{Store, StoreError},
};

/// A document has at most 64 MiB; the rest is for names and framing.
const MAX_COMMIT: usize = 65 * 1024 * 1024;
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
/// One HTTP/2 connection stays with one pod; an end now and then spreads the clients.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(300);
/// For the answers that are under way when the process is told to stop.
const DRAIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    store: Store,
    authenticator: Authenticator,
    recipients: Recipients,
    guard: Guard,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("failed to open the directory")]
    Store(#[from] StoreError),
    #[error("failed to open the record of failed logins")]
    Locks(#[source] KvError),
    #[error("failed to open the record of known recipients")]
    Recipients(#[source] KvError),
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("failed to prepare gRPC reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("failed to read the address of the listener")]
    Listener(#[source] io::Error),
    #[error("gRPC server failed")]
    Serve(#[from] tonic::transport::Error),
}

impl App {
    pub async fn build(config: PolicyConfig, listener: TcpListener, nats: Nats) -> Result<Self, BuildError> {
        let PolicyConfig { replicas, surroundings, ldap, guard } = config;
        let ldap_servers = Some(ldap.iter().map(|server| server.name.clone()).collect());
        let ldap = LdapServers::new(ldap);
        let store = Store::open(&nats, replicas, Surroundings { ldap_servers, ..surroundings }).await?;
        let authenticator = Authenticator::open(&nats, store.bucket(), ldap.clone(), replicas)
            .await
            .map_err(BuildError::Locks)?;
        let recipients = Recipients::open(&nats, ldap, replicas).await.map_err(BuildError::Recipients)?;
        Ok(Self { listener, store, authenticator, recipients, guard })
    }

    /// The directory, for who runs this in the same process.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self { listener, store, authenticator, recipients, guard } = self;
        let (reporter, health) = health_reporter();
        set_serving(&reporter, false).await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(hikyaku_proto::DESCRIPTOR)
            .build_v1()?;
        let directory = DirectoryServiceServer::new(DirectoryGrpc::new(
            store.clone(),
            recipients.clone(),
            authenticator.clone(),
        ))
        .max_decoding_message_size(MAX_COMMIT);
        let policy = PolicyServiceServer::new(PolicyGrpc::new(store.clone(), authenticator, recipients));
        info!(server.address = %listener.local_addr().map_err(RunError::Listener)?, "policy is listening");

        let gate = guard.gate(&listener).map_err(RunError::Listener)?;
        // Whatever ends the server ends its companions.
        let stop = shutdown.child_token();
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE_EVERY))
            .max_connection_age(MAX_CONNECTION_AGE)
            .max_connection_age_grace(DRAIN)
            .layer(gate)
            .add_service(health)
            .add_service(reflection)
            .add_service(policy)
            .add_service(directory)
            .serve_with_incoming_shutdown(guard.incoming(listener), stop.clone().cancelled_owned());
        let server = async {
            let ended = tokio::select! {
                ended = server => ended,
                () = drained(&stop) => Ok(()),
            };
            stop.cancel();
            ended
        };
        let (ended, (), (), ()) = tokio::join!(
            server,
            store.follow(stop.clone()),
            store.expire(&stop),
            report_readiness(&store, &reporter, &stop)
        );
        Ok(ended?)
    }
}

async fn drained(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}

/// Ready when there are rules to answer from. They stay when the store goes away.
async fn report_readiness(store: &Store, reporter: &HealthReporter, stop: &CancellationToken) {
    tokio::select! {
        () = store.loaded_once() => set_serving(reporter, true).await,
        () = stop.cancelled() => return,
    }
    stop.cancelled().await;
    set_serving(reporter, false).await;
}

async fn set_serving(reporter: &HealthReporter, is_serving: bool) {
    let status = if is_serving {
        tonic_health::ServingStatus::Serving
    } else {
        tonic_health::ServingStatus::NotServing
    };
    reporter.set_service_status("", status).await;
    reporter.set_service_status(PolicyServiceServer::<PolicyGrpc>::NAME, status).await;
    reporter.set_service_status(DirectoryServiceServer::<DirectoryGrpc>::NAME, status).await;
}

#[cfg(test)]
mod lab;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;
