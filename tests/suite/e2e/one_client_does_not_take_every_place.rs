use std::net::SocketAddr;

use hikyaku_testkit::{client::SmtpClient, eventually::eventually};

use crate::lab::{Certificates, Lab, SOON};

/// From one address, and they say nothing: over TLS from the start no greeting is due to them.
#[tokio::test]
async fn silent_connections_count_before_their_handshake() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let mut lab = Lab::empty().await?;
    lab.configure(&format!(
        "{}handshake_timeout_seconds = 300\n\
         [ingress]\nmax_connections = 8\nmax_connections_per_client = 4\n",
        certificates.configuration(&["gw.test"])
    ))?;
    let relay = lab.up().await?;
    let (one, other) = (SocketAddr::from(([127, 0, 0, 9], 0)), SocketAddr::from(([127, 0, 0, 8], 0)));
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(SmtpClient::silent_from(one, relay.address("submissions")?).await?);
    }
    eventually(SOON, async || match relay.mail_log("refused", None).len() {
        8.. => Ok(()),
        count => Err(format!("{count} were turned away")),
    })
    .await;
    eventually(SOON, async || {
        let client = SmtpClient::connect_from(other, relay.smtp()).await;
        client.map(drop).map_err(|error| error.to_string())
    })
    .await;
    Ok(())
}
