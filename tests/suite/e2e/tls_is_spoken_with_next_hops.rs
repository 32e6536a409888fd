//! STARTTLS, certificates and logins, as Postfix and Exim see a client (SEED-026, SEED-157).

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::PathBuf,
};

use hikyaku_testkit::{
    certificates::{Authority, Names, PairFiles},
    client::{SmtpClient, send_one},
    eventually::eventually,
    mx::{Script, ScriptedMx},
    peers::Peer,
    relay::Relay,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{CONTENT, Lab, SOON, in_force, listening, set_traffic};

const USER: &str = "relay@smart.test";
const SECRET: &str = "correct-horse-battery";

/// Certificates of next hops, and the authority that the relay trusts.
struct Hops {
    folder: TempDir,
    trusted: Authority,
}

impl Hops {
    fn new() -> anyhow::Result<Self> {
        let hops = Self { folder: tempfile::tempdir()?, trusted: Authority::new("trusted")? };
        hops.trusted.write(&hops.path("trusted.pem"))?;
        Ok(hops)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Of the authority that is trusted.
    fn good(&self, name: &str) -> anyhow::Result<PairFiles> {
        self.trusted.issue(&Names { common: name, dns: &[name], uris: &[] })?.write(self.folder.path(), name)
    }

    /// Of an authority that nobody knows.
    fn unknown(&self, name: &str) -> anyhow::Result<PairFiles> {
        let pair = Authority::new("unknown")?.issue(&Names { common: name, dns: &[name], uris: &[] })?;
        pair.write(self.folder.path(), "unknown")
    }

    /// The configuration of a relay that trusts the authority and has a login `smart`.
    fn configuration(&self) -> String {
        let (ca, secret) = (self.path("trusted.pem"), self.path("secret"));
        format!(
            "[delivery]\nretry_clock_rate = 60\nmessages_per_connection = 1000\n\
             [delivery.tls]\nca = {ca:?}\nhandshake_timeout_seconds = 2\n\
             [delivery.logins.smart]\nuser = {USER:?}\npassword_file = {secret:?}\nmechanism = \"plain\"\n\
             [delivery.logins.login]\nuser = {USER:?}\npassword_file = {secret:?}\nmechanism = \"login\"\n\
             [delivery.logins.strongest]\nuser = {USER:?}\npassword_file = {secret:?}\n"
        )
    }
}

async fn send(relay: &Relay, to: &str) -> anyhow::Result<String> {
    send_one(relay.smtp(), "a@client.test", &[to], CONTENT).await
}

/// Of the last attempt: TLS and whether the certificate was good.
fn attempt(relay: &Relay, id: &str) -> (Value, Value, Value) {
    let attempts = relay.mail_log("attempt", Some(id));
    channel(attempts.last().unwrap_or(&Value::Null))
}

fn channel(line: &Value) -> (Value, Value, Value) {
    (line["tls_policy"].clone(), line["tls"].clone(), line["tls_verified"].clone())
}

fn said(policy: &str, tls: &str, verified: bool) -> (Value, Value, Value) {
    (policy.into(), tls.into(), verified.into())
}

#[tokio::test]
async fn seed_157_any_certificate_is_better_than_none() -> anyhow::Result<()> {
    let hops = Hops::new()?;
    let Some(peer) = listening(Peer::postfix_over_tls(&hops.unknown("inner.test")?, "may")?).await else {
        return Ok(());
    };
    let mut lab = Lab::new().await?;
    lab.own_domain_at("own.test", peer.address());
    lab.configure(&hops.configuration())?;
    let relay = lab.up().await?;
    let id = send(&relay, "b@own.test").await?;
    let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(attempt(&relay, &id), said("opportunistic", "1.3", false));
    assert_eq!((&delivered["tls"], &delivered["tls_verified"]), (&"1.3".into(), &false.into()));
    assert!(
        delivered["tls_cipher"].as_str().is_some_and(|cipher| cipher.starts_with("TLS13_")),
        "{delivered}"
    );
    eventually(SOON, async || {
        let mail = peer.mail();
        if mail.contains("using TLSv1.3 with cipher") { Ok(()) } else { Err(mail) }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn seed_157_nothing_passes_in_the_clear_where_tls_is_required() -> anyhow::Result<()> {
    let hops = Hops::new()?;
    let (plain, broken) = (ScriptedMx::start(Script::Accept).await?, ScriptedMx::start(BROKEN).await?);
    let mut lab = Lab::new().await?;
    lab.own_domain("plain.test", &plain);
    lab.own_domain("broken.test", &broken);
    lab.configure(&hops.configuration())?;
    let relay = lab.up().await?;
    set_traffic(&relay, "destination [*] tls=required\n").await?;
    in_force(&relay, &format!("[127.0.0.1]:{}", plain.address().port()), "tls required traffic:1").await;
    for (to, peer, status, words) in [
        ("b@plain.test", &plain, "4.7.4", "STARTTLS is not offered"),
        ("b@broken.test", &broken, "4.7.5", "no TLS: the handshake failed"),
    ] {
        let id = send(&relay, to).await?;
        let deferred = eventually_deferred(&relay, &id, "tls").await;
        assert_eq!(
            (&deferred["class"], &deferred["status"]),
            (&"policy".into(), &status.into()),
            "{deferred}"
        );
        let cause = deferred["cause"].as_str().unwrap_or_default();
        assert!(cause.contains("127.0.0.1") && cause.contains(words), "{cause}");
        assert_eq!((peer.received_count(), peer.attempts().len()), (0, 0), "{to}");
    }
    Ok(())
}

/// The last deferral of this phase.
async fn eventually_deferred(relay: &Relay, id: &str, phase: &str) -> Value {
    let last = || relay.mail_log("deferred", Some(id)).into_iter().rfind(|line| line["phase"] == phase);
    eventually(SOON, async || {
        last().map(drop).ok_or_else(|| format!("{:?}", relay.mail_log("deferred", None)))
    })
    .await;
    last().unwrap_or_default()
}

#[tokio::test]
async fn seed_157_a_certificate_is_for_a_name() -> anyhow::Result<()> {
    let hops = Hops::new()?;
    let Some(peer) = listening(Peer::postfix_over_tls(&hops.good("inner.test")?, "may")?).await else {
        return Ok(());
    };
    let mut lab = Lab::new().await?;
    lab.own_domain_by_name("own.test", "inner.test", peer.address());
    lab.own_domain_by_name("far.test", "wrong.test", peer.address());
    lab.configure(&hops.configuration())?;
    let relay = lab.up().await?;
    // Before the rules say so: the certificate is looked at all the same.
    let id = send(&relay, "b@own.test").await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(attempt(&relay, &id), said("opportunistic", "1.3", true));

    set_traffic(&relay, "destination [inner.test] tls=verified\ndestination [wrong.test] tls=verified\n")
        .await?;
    eventually(SOON, async || {
        let id = send(&relay, "b@own.test").await.map_err(|error| error.to_string())?;
        relay.wait_for_mail_log("delivered", &id, SOON).await;
        let seen = attempt(&relay, &id);
        if seen == said("verified", "1.3", true) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let id = send(&relay, "b@far.test").await?;
    let deferred = eventually_deferred(&relay, &id, "tls").await;
    assert_eq!((&deferred["class"], &deferred["status"]), (&"policy".into(), &"4.7.5".into()));
    let cause = deferred["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("wrong.test[127.0.0.1") && cause.contains("not valid for name"), "{cause}");
    Ok(())
}

/// SEED-026: AUTH after TLS only, a wrong secret waits without a word to the sender, and a secret is
/// nowhere to be read.
#[tokio::test]
async fn seed_026_a_smart_host_knows_us() -> anyhow::Result<()> {
    let hops = Hops::new()?;
    let pair = hops.good("smart.test")?;
    let Some(peer) = listening(Peer::exim_for(USER, SECRET, &pair)?).await else { return Ok(()) };
    let mut client = SmtpClient::connect(peer.address()).await?;
    client.expect("EHLO client.test").await?;
    let refused = client.command("AUTH PLAIN AGEAYg==").await?;
    assert!(refused.starts_with("503"), "{refused}");

    let mut lab = Lab::new().await?;
    lab.own_domain_by_name("own.test", "smart.test", peer.address());
    lab.configure(&hops.configuration())?;
    std::fs::write(hops.path("secret"), "wrong-horse\n")?;
    let relay = lab.up().await?;
    set_traffic(&relay, "destination [smart.test] login=nobody\n").await?;
    let destination = format!("[smart.test]:{}", peer.address().port());
    in_force(&relay, &destination, "login nobody traffic:1").await;

    let id = send(&relay, "b@own.test").await?;
    let deferred = eventually_deferred(&relay, &id, "auth").await;
    assert_eq!(deferred["status"], "4.3.5", "{deferred}");
    assert!(deferred["cause"].as_str().is_some_and(|cause| cause.contains("no login nobody")), "{deferred}");
    relay
        .wait_for_message("the traffic rules name a login that this worker does not have; its mail waits")
        .await;

    set_traffic(&relay, "destination [smart.test] login=smart\n").await?;
    in_force(&relay, &destination, "login smart traffic:1").await;
    relay.ctl(&["queue", "retry", &id]).await?;
    eventually(SOON, async || {
        let deferred = eventually_deferred(&relay, &id, "auth").await;
        if deferred["status"] == "4.7.8" { Ok(()) } else { Err(deferred.to_string()) }
    })
    .await;
    let deferred = eventually_deferred(&relay, &id, "auth").await;
    assert_eq!(deferred["class"], "temp", "{deferred}");
    assert!(deferred["cause"].as_str().is_some_and(|cause| cause.contains("535")), "{deferred}");
    assert!(
        relay.mail_log("reported", Some(&id)).is_empty() && relay.mail_log("bounced", Some(&id)).is_empty()
    );

    // A new secret needs no restart.
    std::fs::write(hops.path("secret"), format!("{SECRET}\n"))?;
    relay.ctl(&["queue", "retry", &id]).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(attempt(&relay, &id), said("verified", "1.3", true));
    eventually(SOON, async || {
        let log = peer.log();
        let arrival = log.lines().find(|line| line.contains("A=plain:relay@smart.test"));
        if arrival.is_some_and(|line| line.contains("X=TLS1.3")) { Ok(()) } else { Err(log) }
    })
    .await;
    let log = format!("{:?}", relay.log());
    for secret in [SECRET, "wrong-horse", "AHJlbGF5QHNtYXJ0LnRlc3QA"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    Ok(())
}

/// SEED-026: each mechanism with a server of somebody else, the strongest when none is named.
#[tokio::test]
async fn seed_026_mechanisms_are_understood() -> anyhow::Result<()> {
    let hops = Hops::new()?;
    std::fs::write(hops.path("secret"), SECRET)?;
    let Some(peer) = listening(Peer::exim_for(USER, SECRET, &hops.good("127.0.0.1")?)?).await else {
        return Ok(());
    };
    let mut lab = Lab::new().await?;
    lab.own_domain_at("own.test", peer.address());
    lab.configure(&hops.configuration())?;
    let relay = lab.up().await?;
    for (login, mechanism) in [("smart", "plain"), ("login", "login"), ("strongest", "cram")] {
        set_traffic(&relay, &format!("destination [127.0.0.1] login={login}\n")).await?;
        let destination = peer.address().to_string().replacen("127.0.0.1", "[127.0.0.1]", 1);
        in_force(&relay, &destination, &format!("login {login} traffic:1")).await;
        let id = send(&relay, "b@own.test").await?;
        relay.wait_for_mail_log("delivered", &id, SOON).await;
        eventually(SOON, async || {
            let log = peer.log();
            if log.contains(&format!("A={mechanism}:{USER}")) { Ok(()) } else { Err(log) }
        })
        .await;
    }
    Ok(())
}

/// RFC 8314 3.3: nothing is said in the clear at port 465.
#[tokio::test]
async fn seed_157_port_465_begins_with_tls() -> anyhow::Result<()> {
    let hops = Hops::new()?;
    let address: SocketAddr = "127.0.0.93:465".parse()?;
    let peer = match Peer::postfix_at_once_over_tls(address, &hops.good("127.0.0.93")?)? {
        Ok(peer) => peer,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let mut lab = Lab::new().await?;
    lab.own_domain_at("own.test", peer.address());
    lab.configure(&hops.configuration())?;
    let relay = lab.up().await?;
    let id = send(&relay, "b@own.test").await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(attempt(&relay, &id), said("opportunistic", "1.3", true));
    eventually(SOON, async || {
        let mail = peer.mail();
        if mail.contains("using TLSv1.3 with cipher") { Ok(()) } else { Err(mail) }
    })
    .await;
    Ok(())
}

/// It agrees to TLS and does not know what it is.
const BROKEN: Script = Script::AnswersStartTls(b"220 go\r\n");
/// Somebody in between speaks for it.
const INJECTED: Script = Script::AnswersStartTls(b"220 go\r\n250 mx.test\r\n");

/// RFC 7435: mail that would go in the clear anyway is not kept back by TLS that does not work.
#[tokio::test]
async fn seed_157_broken_tls_is_gone_round_within_the_attempt() -> anyhow::Result<()> {
    let hops = Hops::new()?;
    let mut lab = Lab::new().await?;
    lab.configure(&hops.configuration())?;
    let broken = ScriptedMx::start(BROKEN).await?;
    let refuses = ScriptedMx::start(Script::AnswersStartTls(b"454 4.7.0 TLS not available\r\n")).await?;
    let injected = ScriptedMx::start(INJECTED).await?;
    for (domain, peer) in [("broken.test", &broken), ("refuses.test", &refuses), ("injected.test", &injected)]
    {
        lab.own_domain(domain, peer);
    }
    let relay = lab.up().await?;
    for (to, peer, sessions) in [("b@broken.test", &broken, 2), ("b@refuses.test", &refuses, 1)] {
        let id = send(&relay, to).await?;
        let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
        assert_eq!((&delivered["attempt"], &delivered["tls"]), (&1.into(), &"none".into()), "{delivered}");
        assert_eq!((peer.total_sessions(), peer.received_count()), (sessions, 1), "{to}");
    }
    relay.wait_for_message("no TLS with a host that offers it; going on in the clear").await;
    // What stands in the clear behind the reply is somebody else's: no session, and nothing is handed over.
    let id = send(&relay, "b@injected.test").await?;
    let deferred = eventually_deferred(&relay, &id, "tls").await;
    let cause = deferred["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("octets in the clear behind the reply to STARTTLS"), "{cause}");
    assert_eq!(injected.received_count(), 0);
    Ok(())
}

/// A session that is open when the rules change carries nothing more.
#[tokio::test]
async fn seed_157_a_session_ends_when_the_rules_ask_for_another() -> anyhow::Result<()> {
    let hops = Hops::new()?;
    let Some(peer) = listening(Peer::postfix_over_tls(&hops.good("127.0.0.1")?, "may")?).await else {
        return Ok(());
    };
    let mut lab = Lab::new().await?;
    lab.own_domain_at("own.test", peer.address());
    lab.configure(&hops.configuration())?;
    let relay = lab.up().await?;
    for (rules, tls) in [("off", "none"), ("required", "1.3"), ("off", "none"), ("verified", "1.3")] {
        set_traffic(&relay, &format!("destination [127.0.0.1] tls={rules}\n")).await?;
        // Messages come faster than an idle session ends, so it is the rules that end it.
        eventually(SOON, async || {
            let id = send(&relay, "b@own.test").await.map_err(|error| error.to_string())?;
            relay.wait_for_mail_log("delivered", &id, SOON).await;
            let seen = attempt(&relay, &id);
            if seen == said(rules, tls, tls != "none") { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }
    Ok(())
}

/// Peers with and without TLS take turns over the same workers. HIKYAKU_TLS_DELIVERIES says how many messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_157_no_session_is_in_the_wrong_mode() -> anyhow::Result<()> {
    let count: usize = match std::env::var("HIKYAKU_TLS_DELIVERIES") {
        Ok(count) => count.parse()?,
        Err(_) => 200,
    };
    let hops = Hops::new()?;
    let Some(secure) = listening(Peer::postfix_over_tls(&hops.good("127.0.0.1")?, "encrypt")?).await else {
        return Ok(());
    };
    let Some(both) = listening(Peer::postfix_over_tls(&hops.unknown("127.0.0.1")?, "may")?).await else {
        return Ok(());
    };
    let plain = ScriptedMx::start(Script::Accept).await?;
    let mut lab = Lab::new().await?;
    let peers: [(&str, SocketAddr, &str, &str, bool); 3] = [
        ("own.test", secure.address(), "verified", "1.3", true),
        ("off.test", both.address(), "off", "none", false),
        ("plain.test", plain.address(), "opportunistic", "none", false),
    ];
    for (domain, address, ..) in peers {
        lab.own_domain_at(domain, address);
    }
    lab.configure(&hops.configuration())?;
    let relay = lab.up().await?;
    let rule = |(_, address, policy, ..): &(&str, SocketAddr, &str, &str, bool)| {
        format!("destination [127.0.0.1]:{} tls={policy}\n", address.port())
    };
    set_traffic(&relay, &peers.iter().map(rule).collect::<String>()).await?;
    // The worker has them when the first session is what they say.
    eventually(SOON, async || {
        let id = send(&relay, "first@own.test").await.map_err(|error| error.to_string())?;
        relay.wait_for_mail_log("delivered", &id, SOON).await;
        let seen = attempt(&relay, &id);
        if seen == said("verified", "1.3", true) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    let mut sent = Vec::new();
    for number in 0..count {
        let (domain, _, policy, tls, verified) = peers[number % peers.len()];
        let to = format!("b{number}@{domain}");
        let id = client.send_mail("a@client.test", &[&to], CONTENT).await?;
        sent.push((id, said(policy, tls, verified)));
    }
    eventually(SOON * 10, async || {
        let delivered = relay.mail_log("delivered", None);
        let delivered: HashSet<&str> =
            delivered.iter().filter_map(|line| line["queue_id"].as_str()).collect();
        let missing = sent.iter().filter(|(id, _)| !delivered.contains(id.as_str())).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} are not delivered")) }
    })
    .await;
    let attempts = relay.mail_log("attempt", None);
    let seen: HashMap<&str, _> =
        attempts.iter().map(|line| (line["queue_id"].as_str().unwrap_or_default(), channel(line))).collect();
    for (id, wanted) in &sent {
        assert_eq!(seen.get(id.as_str()), Some(wanted), "{id}");
    }
    // And as the peers saw it.
    eventually(SOON, async || {
        let of = |peer: &Peer| {
            let mail = peer.mail();
            (mail.matches("Subject: hello").count(), mail.matches("using TLSv1.3").count())
        };
        let (messages, over_tls) = of(&secure);
        let (clear, over_tls_too) = of(&both);
        let all = messages + clear + plain.received_count();
        let is_right = messages == over_tls && over_tls_too == 0 && all > sent.len();
        if is_right {
            Ok(())
        } else {
            Err(format!("{over_tls} of {messages}, {over_tls_too} of {clear}, {all}"))
        }
    })
    .await;
    Ok(())
}
