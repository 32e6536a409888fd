//! SEED-130.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    port,
    relay::{Relay, signal},
};
use tokio::net::{TcpListener, TcpStream};

use crate::lab::{CONTENT, SOON};

struct Setup {
    folder: tempfile::TempDir,
    mx: ScriptedMx,
}

impl Setup {
    /// The configuration names these listeners from now on.
    fn configure(&self, smtp: &[SocketAddr], more: &str) -> anyhow::Result<()> {
        let smtp: Vec<String> = smtp.iter().map(ToString::to_string).collect();
        let nats = hikyaku_testkit::nats::program();
        let text = format!(
            "smtp = {smtp:?}\nhostname = \"gw.test\"\nnats_server = {nats:?}\n\
             own_domain = [\"own.test=[127.0.0.1]:{}\"]\n{more}",
            self.mx.address().port()
        );
        Ok(std::fs::write(self.folder.path().join("hikyaku.toml"), text)?)
    }

    async fn up(&self) -> anyhow::Result<Relay> {
        let (data, config) = (self.folder.path().join("data"), self.folder.path().join("hikyaku.toml"));
        let arguments = ["up", "--data-dir", &data.to_string_lossy(), "--config", &config.to_string_lossy()]
            .map(str::to_owned);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let relay = Relay::start(&data, &arguments).await?;
        relay.wait_for_message("ready").await;
        Ok(relay)
    }
}

async fn hang_up(relay: &Relay, answer: &str) -> anyhow::Result<()> {
    let told = || relay.log().iter().filter(|line| line["message"] == answer).count();
    let before = told();
    signal("HUP", relay.pid().unwrap_or_default()).await?;
    eventually(
        SOON,
        async || if told() > before { Ok(()) } else { Err(format!("{:#?}", relay.log().last())) },
    )
    .await;
    Ok(())
}

const CHANGED: &str = "listeners are as the configuration says";
const UNCHANGED: &str = "listeners are unchanged";

/// Sessions, one after the other, until the address refuses connections. Who was greeted is served to the end.
async fn load(address: SocketAddr, sent: Arc<AtomicUsize>) -> anyhow::Result<()> {
    let mut was_reset = false;
    loop {
        let mut client = match SmtpClient::connect(address).await {
            Ok(client) => client,
            Err(error) if is(&error, ErrorKind::ConnectionRefused) => return Ok(()),
            // The system shook hands with this one in the very moment in which the listener ended.
            Err(error) if is(&error, ErrorKind::ConnectionReset) && !was_reset => {
                was_reset = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        anyhow::ensure!(!was_reset, "a listener that is open reset a connection");
        client.expect("EHLO client.test").await?;
        client.send_mail("a@client.test", &["b@own.test"], CONTENT).await?;
        client.expect("QUIT").await?;
        sent.fetch_add(1, Ordering::SeqCst);
    }
}

fn is(error: &anyhow::Error, kind: ErrorKind) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == kind)
}

#[tokio::test]
async fn seed_130_ports_change_while_mail_comes_in() -> anyhow::Result<()> {
    let setup = Setup { folder: tempfile::tempdir()?, mx: ScriptedMx::start(Script::Accept).await? };
    let (old, new) = (port::unused()?, port::unused()?);
    setup.configure(&[old], "")?;
    let relay = setup.up().await?;

    let mut begun = SmtpClient::connect(old).await?;
    begun.expect("EHLO client.test").await?;
    begun.expect("MAIL FROM:<a@client.test>").await?;
    let sent = Arc::new(AtomicUsize::new(0));
    let loads: Vec<_> = (0..4).map(|_| tokio::spawn(load(old, Arc::clone(&sent)))).collect();
    eventually(SOON, async || match sent.load(Ordering::SeqCst) {
        0..20 => Err("little was sent".to_owned()),
        _ => Ok(()),
    })
    .await;

    setup.configure(&[new], "")?;
    hang_up(&relay, CHANGED).await?;
    // Whoever was let in ends as if nothing had happened, and then nobody is.
    for load in loads {
        load.await??;
    }
    begun.expect("RCPT TO:<b@own.test>").await?;
    begun.expect("RSET").await?;
    begun.send_mail("a@client.test", &["b@own.test"], CONTENT).await?;
    let mut client = SmtpClient::connect(new).await?;
    client.expect("EHLO client.test").await?;
    client.send_mail("a@client.test", &["b@own.test"], CONTENT).await?;

    // A port in use, an address of somebody else, a file that cannot be read: nothing changes.
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    for (listeners, more) in [
        (vec![old, taken.local_addr()?], ""),
        (vec![old, "192.0.2.1:25".parse()?], ""),
        (vec![old], "nonsense = 1\n"),
    ] {
        setup.configure(&listeners, more)?;
        hang_up(&relay, UNCHANGED).await?;
        SmtpClient::connect(new).await?;
        assert!(TcpStream::connect(old).await.is_err(), "{listeners:?}: half of it is in force");
    }

    // A banner is for connections that come; both ports; the program ends as ever.
    setup.configure(&[new, old], &format!("[ingress.banners]\n\"{new}\" = \"mx.own.test hello\"\n"))?;
    hang_up(&relay, CHANGED).await?;
    let mut greeted = SmtpClient::silent_from("127.0.0.1:0".parse()?, new).await?;
    assert_eq!(greeted.reply().await?, "220 mx.own.test hello");
    SmtpClient::connect(old).await?;
    assert_eq!(relay.terminate().await?, Some(0));
    Ok(())
}
