//! An ingress node dies in the middle of its sessions.

use hikyaku_testkit::nats::NatsServer;

use crate::{chaos::storm::Storm, rig::Brokers};

#[tokio::test]
async fn one_is_killed_and_clients_go_to_another() -> anyhow::Result<()> {
    let mut storm = Storm::begin(Brokers::One(NatsServer::start()?), 2, 1).await?;
    storm.ingress.remove(0).kill().await?;
    storm.more_mail(200).await;
    storm.end(1).await;
    Ok(())
}
