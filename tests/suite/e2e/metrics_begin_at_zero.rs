//! What a role shows before and after its first event.

use std::net::SocketAddr;

use hikyaku_measures::Measure;
use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    metrics::{read, value},
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    port,
};

use crate::{
    lab::SOON,
    rig::{Brokers, Rig, domain},
};

async fn text(of: SocketAddr) -> anyhow::Result<String> {
    tokio::task::spawn_blocking(move || read(of)).await?
}

/// As Prometheus writes it.
fn series(measure: &Measure) -> Vec<String> {
    let written = measure.series().into_iter().map(|pairs| {
        let labels = pairs.iter().map(|(name, value)| format!("{}=\"{value}\"", name.replace('.', "_")));
        match labels.collect::<Vec<_>>().join(",") {
            labels if labels.is_empty() => measure.exposed(),
            labels => format!("{}{{{labels}}}", measure.exposed()),
        }
    });
    written.collect()
}

#[tokio::test]
async fn counters_are_there_before_their_first_event() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let brokers = Brokers::One(NatsServer::start()?);
    let mut rig = Rig::secured(brokers, &domain("own.test", &inner), true).await?;
    let metrics = port::unused()?;
    let ingress = rig.ingress_with(&format!("metrics = \"{metrics}\"")).await?;
    let shown = text(metrics).await?;
    for measure in hikyaku_ingress::metrics::ALL.iter().filter(|measure| measure.begins_at_zero()) {
        for series in series(measure) {
            assert!(shown.contains(&format!("\n{series} 0\n")), "{series} in {shown}");
        }
    }
    assert!(!shown.contains("mail_delivery_"), "what is another role's is not shown");

    // A limit is hit, and seen as an increase.
    let hit = "smtp_server_refusals_total{check=\"smtp.line-length\"}";
    assert!(shown.contains(&format!("{hit} 0\n")));
    let mut client = SmtpClient::connect(ingress.smtp()).await?;
    client.expect("EHLO client.test").await?;
    client.command(&format!("NOOP {}", "x".repeat(100_000))).await.ok();
    eventually(SOON, async || {
        let shown = text(metrics).await.map_err(|error| error.to_string())?;
        match value(&shown, hit) {
            count if count >= 1.0 => Ok(()),
            count => Err(format!("{count}")),
        }
    })
    .await;

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
    assert!(value(&shown, "tls_certificate_expiry_seconds{channel=\"grpc\"}") > now);
    assert!((value(&shown, "process_start_time_seconds") - now).abs() < 3_600.0);
    assert!(value(&shown, "process_resident_memory_bytes") > 1_000_000.0);
    assert!(value(&shown, "process_open_fds") > 5.0);
    assert!(value(&shown, "process_max_fds") >= value(&shown, "process_open_fds"));
    let version = format!("hikyaku_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert!((value(&shown, &version) - 1.0).abs() < f64::EPSILON);
    Ok(())
}
