//! Scenario 5: submission over 587 and 465, mechanisms, whose sender an account may be, to whom it may write,
//! and a lock that all nodes know. Three ingress nodes.

use hikyaku_testkit::{
    accounts,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    relay::Relay,
};

use crate::{
    lab::{Certificates, SOON, SUBMISSION, smtplib},
    rig::{Brokers, Rig, domain},
};

/// "tim" is of RFC 2195 2.
const ACCOUNTS: [(&str, &str); 3] = [
    ("user1@domain.co.jp", "pass1234"),
    ("user2@domain.co.jp", "pass5678"),
    ("tim@domain.co.jp", "tanstaaftanstaaf"),
];

/// What all scripts begin with: `says` compares the beginning of a reply.
const CLIENT: &str = r"
import hmac, sys
trusted, external = sys.argv[1], '127.9.0.9'

def says(client, command, wanted):
    code, text = client.docmd(command)
    said = f'{code} {text.decode()}'
    assert said.startswith(wanted), (command, said)
";

const SESSIONS: &str = r"
submission, submissions, relay = sys.argv[2:]
user1 = 'user1@domain.co.jp'
client = smtplib.SMTP('127.0.0.1', int(submission), source_address=(external, 0))
client.ehlo('client.test')
offered = client.esmtp_features.get('auth', '').split()
assert 'PLAIN' not in offered and 'LOGIN' not in offered, offered
says(client, plain(user1, 'pass1234'), '538 5.7.11')
says(client, f'MAIL FROM:<{user1}>', '530 5.7.0')
client.quit()

client = starttls(submission, trusted, external)
says(client, plain(user1, 'wrong'), '535 5.7.8')
says(client, plain('nobody@domain.co.jp', 'pass1234'), '535 5.7.8')
says(client, plain(user1, 'pass1234'), '235 2.7.0')
says(client, 'MAIL FROM:<user2@domain.co.jp>', '553 5.7.1')
says(client, f'MAIL FROM:<{user1}>', '250')
says(client, 'RSET', '250')
says(client, 'MAIL FROM:<sales@domain.co.jp>', '250') # an alias of user1
says(client, 'RCPT TO:<x@rival.example>', '550 5.7.1')
says(client, 'RCPT TO:<x@z.example>', '250')
code, text = client.data(f'From: {user1}\r\nSubject: shown\r\n\r\nbody\r\n')
assert code == 250, text
client.quit()

client = implicit(submissions, trusted, external)
client.user, client.password = user1, 'pass1234'
code, text = client.auth('LOGIN', client.auth_login)
assert code == 235, text
client.quit()

digest = lambda challenge: hmac.new(b'tanstaaftanstaaf', challenge, 'md5').hexdigest()
assert digest(b'<1896.697170952@postoffice.reston.mci.net>') == 'b913a602c7eda7a495b4e6e7334d3890'
client = implicit(submissions, trusted, external)
code, text = client.docmd('AUTH CRAM-MD5')
assert code == 334, text
answer = 'tim@domain.co.jp ' + digest(base64.b64decode(text))
says(client, base64.b64encode(answer.encode()).decode(), '235')
client.quit()

client = smtplib.SMTP('127.0.0.1', int(relay), source_address=(external, 0))
client.ehlo('client.test')
says(client, 'MAIL FROM:<postmaster@domain.jp>', '530 5.7.0')
client.quit()
";

/// By a node that does not tell where its clients are.
const HIDDEN: &str = r"
client = starttls(sys.argv[2], trusted, external)
client.login('user1@domain.co.jp', 'pass1234')
client.sendmail('user1@domain.co.jp', ['x@z.example'], 'Subject: hidden\r\n\r\nbody\r\n')
client.quit()
";

const FIVE_BAD_PASSWORDS: &str = r"
client = starttls(sys.argv[2], trusted, external)
for n in range(4):
    says(client, plain('user2@domain.co.jp', f'bad{n}'), '535 5.7.8')
says(client, plain('user2@domain.co.jp', 'bad4'), '421 4.7.0')
assert client.sock.recv(10) == b'', 'the connection is still open'
";

/// Who is locked out, and that another is not.
const LOCK: &str = r"
client = starttls(sys.argv[2], trusted, external)
says(client, plain('user2@domain.co.jp', 'pass5678'), '454 4.7.0')
says(client, plain('user1@domain.co.jp', 'pass1234'), '235')
client.quit()
";

struct Scenario {
    rig: Rig,
    nodes: Vec<Relay>,
    worker: Relay,
    world: ScriptedMx,
    certificates: Certificates,
}

impl Scenario {
    async fn start() -> anyhow::Result<Self> {
        let certificates = Certificates::new()?;
        let (inner, world) =
            (ScriptedMx::start(Script::Accept).await?, ScriptedMx::start(Script::Accept).await?);
        let tables = format!("{}[auth]\ncram_md5 = true\n", certificates.section(&["gw.test"]));
        let brokers = Brokers::One(NatsServer::start()?);
        let mut rig = Rig::start(brokers, &domain("domain.co.jp", &inner), &tables).await?;
        let (accounts, credentials) = accounts::documents(&ACCOUNTS);
        let route = format!("z.example,{},{}\n", world.address().ip(), world.address().port());
        for (name, text) in [
            ("relay-networks", ""),
            ("own-domains", "domain.co.jp\ndomain.jp\n"),
            ("aliases", "*@domain.jp\t*@domain.jp\nsales@domain.co.jp\tuser1@domain.co.jp\n"),
            ("accounts", &*accounts),
            ("credentials", &*credentials),
            ("routes", &route),
            ("settings", "sender_trust = 2\nlock_after_failures = 5\n"),
        ] {
            rig.document(name, text).await?;
        }
        let sender_dat = rig.path("sender.dat");
        std::fs::write(&sender_dat, "*@rival.example,-1\n*,0\n")?;
        let of_user1 = format!("user1@domain.co.jp={sender_dat}");
        rig.policy.ctl(&["import", "--sender", &of_user1]).await?;
        let mut nodes = Vec::new();
        for is_hidden in [false, true, false] {
            let hides = [("HIKYAKU__INGRESS__HIDE_SUBMISSION_CLIENT", is_hidden.to_string())];
            let node = rig.ingress_in(SUBMISSION, &hides).await?;
            node.wait_for_service("submissions").await;
            nodes.push(node);
        }
        let worker = rig.worker().await?;
        Ok(Self { rig, nodes, worker, world, certificates })
    }

    /// Runs a script against services of one node; false: there is no Python.
    async fn run(&self, script: &str, node: usize, services: &[&str]) -> anyhow::Result<bool> {
        let mut arguments = vec![self.certificates.trusted.to_string_lossy().into_owned()];
        for service in services {
            arguments.push(self.nodes[node].address(service)?.port().to_string());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(smtplib(&format!("{CLIENT}{script}"), &arguments).await?.is_some())
    }
}

/// SEED-113 to 117.
#[tokio::test]
async fn scenario_5_submission() -> anyhow::Result<()> {
    let scenario = Scenario::start().await?;
    if !scenario.run(SESSIONS, 0, &["submission", "submissions", "smtp"]).await? {
        return Ok(());
    }
    assert_eq!(scenario.nodes[0].mail_log("accepted", None).len(), 1);
    scenario.run(HIDDEN, 1, &["submission"]).await?;
    let received = eventually(SOON, async || match scenario.world.received() {
        received if received.len() == 2 => Ok(received),
        other => Err(format!("{} arrived; the worker says {:#?}", other.len(), scenario.worker.log())),
    })
    .await;
    for mail in received {
        let text = mail.text();
        assert_eq!(mail.recipients, ["x@z.example"]);
        assert!(text.contains("by gw.test with ESMTPSA id") && !text.contains("X-Relay"), "{text}");
        let is_shown = text.contains("Subject: shown");
        assert_eq!((text.contains("127.9.0.9"), text.contains("(client not shown)")), (is_shown, !is_shown));
    }

    scenario.run(FIVE_BAD_PASSWORDS, 0, &["submission"]).await?;
    for node in [1, 2] {
        scenario.run(LOCK, node, &["submission"]).await?;
    }
    // What the clear secrets were is nowhere.
    let log = scenario.nodes.iter().chain([&scenario.rig.policy]).flat_map(Relay::log);
    let log: String = log.map(|line| line.to_string()).collect();
    assert!(ACCOUNTS.iter().all(|(_, secret)| !log.contains(secret)), "a secret is in a log");
    Ok(())
}
