//! Mail of every fate, callers of every kind, and a directory that changes.

use std::{net::SocketAddr, time::Duration};

use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    eventually::eventually,
    hook::Hook,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    port,
    relay::Relay,
    web::WebServer,
};

use crate::lab::{CONTENT, Certificates, Lab, SOON, set_accounts, smtplib};

const USER: &str = "ann@accounts.test";
const PASSWORD: &str = "correct horse";
const HOUR: Duration = Duration::from_secs(3_600);
/// More than a destination has in memory.
const MANY: usize = 1_000;
/// What comes from here comes from a load balancer.
const BALANCER: &str = "127.0.0.9:0";

pub struct Scene {
    pub relay: Relay,
    pub metrics: SocketAddr,
    nats: NatsServer,
    lab: Lab,
    certificates: Certificates,
    servers: Vec<(&'static str, ScriptedMx)>,
    _web: WebServer,
    rounds: usize,
}

impl Scene {
    pub async fn start() -> anyhow::Result<Self> {
        let (mut lab, certificates) = (Lab::new().await?, Certificates::new()?);
        let mut servers = Vec::new();
        for (domain, script) in [
            ("own.test", Script::Accept),
            ("known.test", Script::RefuseLocalPart("bad", "550 5.1.1 no such user")),
            ("refuses.test", Script::RefuseRcpt("550 5.1.1 no such user")),
            ("filters.test", Script::RefuseContent("554 5.6.0 not this")),
            ("grey.test", Script::RefuseRcpt("451 4.7.1 greylisted")),
            ("moves.test", Script::RefuseRcpt("451 4.7.1 not here any more")),
            ("busy.test", Script::Greeting("421 4.3.2 busy")),
            ("slow.test", Script::SlowContent(HOUR)),
        ] {
            let server = ScriptedMx::start(script).await?;
            lab.own_domain(domain, &server);
            servers.push((domain, server));
        }
        lab.own_domain_at("dead.test", "127.0.0.1:1".parse()?);
        lab.own_domain_at("accounts.test", servers[0].1.address());

        // Its MTA-STS policy is in testing, and its host would not do.
        let clear = ScriptedMx::start_at("127.0.0.2:0".parse()?, Script::Accept).await?;
        let web = WebServer::start(&certificates.authority, &["mta-sts.tests.test"]).await?;
        let policy = "version: STSv1\nmode: testing\nmx: mail.tests.test\nmax_age: 86400\n";
        web.says("mta-sts.tests.test", "200 OK\r\nContent-Type: text/plain", policy);
        lab.mail_for("tests.test", clear.address());
        lab.dns.text("_mta-sts.tests.test", "v=STSv1; id=1;");
        lab.dns.address_of("mta-sts.tests.test", [127, 0, 0, 1].into());

        let hook = Hook::start(0).await?;
        let nats = NatsServer::start()?;
        let metrics = port::unused()?;
        lab.configure(&format!(
            "metrics = \"{metrics}\"\n{}{}\n[mail_log]\nconnections = true\nwebhook = \"http://{}/lines\"\n[ingress]\nproxy_from = [\"127.0.0.9/32\"]\ntarpit_seconds = 0\n\
             [delivery]\nmx_port = {}\nmta_sts_port = {}\n[delivery.tls]\nca = {:?}\n",
            nats.configuration()?,
            certificates.configuration(&["gw.test"]),
            hook.address,
            clear.address().port(),
            web.port,
            certificates.trusted,
        ))?;
        servers.push(("tests.test", clear));
        let relay = lab.up().await?;
        set_accounts(&relay, &[(USER, PASSWORD)]).await?;
        Ok(Self { relay, metrics, nats, lab, certificates, servers, _web: web, rounds: 0 })
    }

    pub async fn round(&mut self) -> anyhow::Result<()> {
        self.rounds += 1;
        self.directory().await?;
        self.mail().await?;
        self.clients().await?;
        self.strangers().await
    }

    /// The broker is killed while mail comes in and goes out, and comes back.
    pub async fn outage(&mut self) -> anyhow::Result<()> {
        let smtp = self.relay.smtp();
        let mut client = SmtpClient::connect(smtp).await?;
        client.expect("EHLO client.test").await?;
        for _ in 0..MANY {
            client.send_mail("a@client.test", &["b@slow.test"], CONTENT).await?;
        }
        eventually(SOON, async || match self.relay.mail_log("parked", None).len() {
            0 => Err("nothing was parked".to_owned()),
            _ => Ok(()),
        })
        .await;
        let senders: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn(async move {
                    while send_one(smtp, "a@client.test", &["b@own.test"], CONTENT).await.is_ok() {}
                })
            })
            .collect();
        self.nats.kill()?;
        for sender in senders {
            sender.await?;
        }
        self.nats.restart()?;
        eventually(SOON, async || {
            let sent = send_one(smtp, "a@client.test", &["b@own.test"], CONTENT).await;
            sent.map_err(|error| error.to_string())
        })
        .await;
        Ok(())
    }

    async fn set(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.lab.folder.path().join(name);
        std::fs::write(&file, text)?;
        self.relay.ctl(&["directory", "set", name, &file.to_string_lossy()]).await?;
        Ok(())
    }

    /// Another version; from the second round on mail for moves.test goes to a server that takes it.
    async fn directory(&self) -> anyhow::Result<()> {
        let at = |domain: &str| {
            let server = self.servers.iter().find(|(name, _)| *name == domain).map(|(_, server)| server);
            server.map_or_else(
                || "127.0.0.1,1".to_owned(),
                |server| format!("{},{}", server.address().ip(), server.address().port()),
            )
        };
        self.set("sources", &format!("; {}\nknown.test recipients=next-hop\n", self.rounds)).await?;
        let mut routes =
            format!("; {}\ndead.test,127.0.0.1,1\naccounts.test,{}\n", self.rounds, at("own.test"));
        for (domain, _) in self.servers.iter().filter(|(domain, _)| *domain != "tests.test") {
            let server = if *domain == "moves.test" && self.rounds > 1 { "own.test" } else { *domain };
            routes += &format!("{domain},{}\n", at(server));
        }
        self.set("routes", &routes).await
    }

    /// Where mail for moves.test went at first.
    fn moved(&self) -> String {
        let server = self.servers.iter().find(|(name, _)| *name == "moves.test");
        server.map_or_else(String::new, |(_, server)| {
            format!("[{}]:{}", server.address().ip(), server.address().port())
        })
    }

    async fn mail(&self) -> anyhow::Result<()> {
        let smtp = self.relay.smtp();
        let send = async |from: &str, to: &str| send_one(smtp, from, &[to], CONTENT).await;
        let delivered = send("a@client.test", "b@own.test").await?;
        send("a@client.test", "b@tests.test").await?;
        for domain in ["refuses.test", "filters.test"] {
            send("a@own.test", &format!("b@{domain}")).await?;
        }
        // Nobody to report to.
        let dead = send("", "b@refuses.test").await?;
        for domain in ["grey.test", "busy.test", "dead.test"] {
            send("a@own.test", &format!("b@{domain}")).await?;
        }
        if self.rounds == 1 {
            let moves = send("a@own.test", "b@moves.test").await?;
            self.relay.wait_for_mail_log("deferred", &moves, SOON).await;
        } else {
            self.relay.ctl(&["queue", "retry", "--destination", &self.moved()]).await?;
        }
        self.relay.wait_for_mail_log("delivered", &delivered, SOON).await;
        self.relay.wait_for_mail_log("bounced", &dead, SOON).await;
        Ok(())
    }

    /// Some are refused, some go away, some log in.
    async fn clients(&self) -> anyhow::Result<()> {
        let mut client = SmtpClient::connect(self.relay.smtp()).await?;
        client.expect("EHLO client.test").await?;
        client.expect("MAIL FROM:<a@client.test>").await?;
        for (name, code) in [("bad", "550"), ("good", "250")] {
            let reply = client.command(&format!("RCPT TO:<{name}{}@known.test>", self.rounds)).await?;
            anyhow::ensure!(name == "bad" || reply.starts_with(code), "{reply}");
        }
        client.command("RCPT TO:<bad@known.test>").await?;
        drop(client);
        let port = self.relay.address("submission")?.port().to_string();
        let arguments = [&*port, &self.certificates.trusted.to_string_lossy(), USER, PASSWORD];
        smtplib(LOGINS, &arguments).await?;
        Ok(())
    }

    /// A balancer that sends no header, and a caller with a token that nobody made.
    async fn strangers(&self) -> anyhow::Result<()> {
        let mut balancer = SmtpClient::silent_from(BALANCER.parse()?, self.relay.smtp()).await?;
        balancer.send(b"EHLO balancer.test\r\n").await?;
        eventually(SOON, async || match balancer.reply().await {
            Err(_) => Ok(()),
            Ok(reply) if reply.is_empty() => Ok(()),
            Ok(reply) => Err(reply),
        })
        .await;
        let token = self.lab.folder.path().join("unknown-token");
        std::fs::write(&token, "nobody-made-this-token-at-all-0123456789\n")?;
        let refused =
            self.relay.ctl_as("http", &["--token-file", &token.to_string_lossy()], &["queue", "list"]).await;
        anyhow::ensure!(refused.is_err(), "a caller whom nobody knows was answered");
        Ok(())
    }
}

const LOGINS: &str = r"
import sys
port, trusted, user, password = sys.argv[1:]
for said in (password, 'wrong'):
    client = starttls(port, trusted, '127.0.0.1')
    client.docmd(plain(user, said))
    client.quit()
";
