//! The golden transcripts over TCP: the real ingress, the real policy service and a real
//! broker. The session's own test plays the same files in memory.

use std::{
    fs, io,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hikyaku_ingress::{
    app::App as Ingress,
    config::IngressConfig,
    service::{Listening, Service, TlsStart},
};
use hikyaku_policy::{
    App as Policy, DocumentName, Documents, PolicyConfig, Store,
    store::commit::{Author, Mode},
};
use hikyaku_policy_client::{PolicyClient, PolicyClientConfig};
use hikyaku_queue::{
    Nats, NatsConfig,
    body_store::BodyStore,
    browse::{Browser, Filter, Progress, Selector},
    connect::Login,
    publish::Publisher,
    topology::{TopologyConfig, reconcile},
};
use hikyaku_runtime::tls::{KeyPair, TlsAcceptor, TlsConfig, TlsVersion};
use hikyaku_testkit::{
    certificates::{Authority, Names},
    nats::{NatsServer, PASSWORD, SYSTEM_USER, USER},
};
use hikyaku_types::shard::ShardCount;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::pem::PemObject as _};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[path = "../../services/lib/smtp/tests/support/dialog.rs"]
mod dialog;

use dialog::{Dialog, Setting, Tls, Wire, transcripts};

const HOSTNAME: &str = "gw.example";
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Clients that may relay come from here, others from there.
const INSIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

struct Tcp {
    stream: Stream,
    trust: Arc<ClientConfig>,
}

enum Stream {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire for Tcp {
    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets),
            Stream::Secure(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        }
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 64 * 1024];
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut buffer),
            Stream::Secure(stream) => stream.read(&mut buffer),
        };
        match read {
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
            // The server may reset what it has closed.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn secure(&mut self) -> io::Result<()> {
        let Stream::Plain(stream) = &self.stream else { return Err(io::Error::other("TLS is on")) };
        let name = HOSTNAME.try_into().map_err(io::Error::other)?;
        let mut connection =
            ClientConnection::new(Arc::clone(&self.trust), name).map_err(io::Error::other)?;
        let mut stream = stream.try_clone()?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        self.stream = Stream::Secure(Box::new(StreamOwned::new(connection, stream)));
        Ok(())
    }
}

struct World {
    _server: NatsServer,
    nats: Nats,
    shards: ShardCount,
    store: Store,
    policy: SocketAddr,
    _certificates: TempDir,
    tls: TlsConfig,
    trust: Arc<ClientConfig>,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let server = NatsServer::start()?;
        let login = |user: &str| Some(Login { user: user.to_owned(), password: PASSWORD.to_owned().into() });
        let config = NatsConfig {
            url: server.url(),
            login: login(USER),
            system_login: login(SYSTEM_USER),
            tls: None,
            client_name: "dialogs".to_owned(),
        };
        let nats = hikyaku_testkit::eventually::eventually(READ_LIMIT, async || {
            Nats::connect(&config).await.map_err(|error| error.to_string())
        })
        .await;
        let shards = ShardCount::new(2).unwrap();
        reconcile(&nats, &TopologyConfig { shards, replicas: 1, mail_log: None }).await?;
        nats.durability().first_verdict().await?;
        let listener = TcpListener::bind((INSIDE, 0)).await?;
        let address = listener.local_addr()?;
        let policy = Policy::build(PolicyConfig::default(), listener, nats.clone()).await?;
        let store = policy.store();
        tokio::spawn(policy.run(CancellationToken::new()));
        hikyaku_runtime::crypto::install();
        let (authority, certificates) = (Authority::new("clients trust it")?, tempfile::tempdir()?);
        let names = Names { common: HOSTNAME, dns: &[HOSTNAME], uris: &[] };
        let files = authority.issue(&names)?.write(certificates.path(), "gw")?;
        let trusted = certificates.path().join("trusted");
        authority.write(&trusted)?;
        let mut roots = RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_file(&trusted)?)?;
        let trust = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let tls = TlsConfig {
            pairs: vec![KeyPair { certificate: files.certificate, key: files.key }],
            min_version: TlsVersion::Tls12,
            handshake_timeout: READ_LIMIT,
            client_certificates: false,
        };
        Ok(Self {
            _server: server,
            nats,
            shards,
            store,
            policy: address,
            _certificates: certificates,
            tls,
            trust: Arc::new(trust),
        })
    }

    async fn play(&self, dialog: &Dialog) -> anyhow::Result<Result<(), String>> {
        self.set_policy(&dialog.setting).await?;
        let client = PolicyClient::new(PolicyClientConfig::new(format!("http://{}", self.policy)))?;
        client.wait_ready(READ_LIMIT).await?;
        let mut config = IngressConfig::new(HOSTNAME.parse()?);
        let setting = &dialog.setting;
        config.max_message_bytes = setting.max_size.unwrap_or(config.max_message_bytes);
        config.max_recipients = setting.max_recipients.unwrap_or(config.max_recipients);
        config.max_errors = setting.max_errors.unwrap_or(config.max_errors);
        config.auth_on_relay = setting.auth;
        config.cram_md5 = setting.cram_md5;
        let start = if setting.tls == Tls::Implicit { TlsStart::AtOnce } else { TlsStart::OnRequest };
        let default_domain = setting.default_domain.as_deref().map(str::parse).transpose()?;
        let service = match setting.is_submission {
            true => Service::submission(start, default_domain),
            false => Service::RELAY,
        };
        let tls = match setting.tls {
            Tls::None => None,
            Tls::OnDemand | Tls::Implicit => Some(TlsAcceptor::new(self.tls.clone())?),
        };
        let socket = TcpListener::bind((INSIDE, 0)).await?;
        let address = socket.local_addr()?;
        let publisher = Publisher::new(self.nats.clone(), self.shards);
        let stop = CancellationToken::new();
        let ingress = Ingress::build(
            config,
            vec![Listening { address: socket.local_addr()?, socket, service }],
            tls,
            client,
            publisher,
            hikyaku_queue::watch::Watches::new("dialogs"),
        );
        let ingress = tokio::spawn(ingress.run(stop.clone()));

        let from = if setting.client_may_relay() { INSIDE } else { OUTSIDE };
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(address).await?.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(READ_LIMIT))?;
        let (copy, trust) = (dialog.clone(), Arc::clone(&self.trust));
        let played = tokio::task::spawn_blocking(move || {
            let mut wire = Tcp { stream: Stream::Plain(stream), trust };
            if copy.setting.tls == Tls::Implicit {
                wire.secure().map_err(|error| error.to_string())?;
            }
            copy.run(&mut wire)
        });
        let played = played.await?;
        stop.cancel();
        ingress.await?;
        let stored = self.take_stored().await?;
        let compared = played.and_then(|()| {
            // Our trace fields stand above what the client sent.
            let same = stored.len() == dialog.messages.len()
                && stored.iter().zip(&dialog.messages).all(|(stored, sent)| stored.ends_with(sent));
            if same { Ok(()) } else { Err(format!("stored {stored:?}")) }
        });
        Ok(compared)
    }

    async fn set_policy(&self, setting: &Setting) -> anyhow::Result<()> {
        let lines = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let aliases = if setting.known.is_empty() {
            setting.own.iter().map(|domain| format!("*@{domain}\t*@{domain}")).collect()
        } else {
            setting.known.iter().map(|mailbox| format!("{mailbox}\t{mailbox}")).collect()
        };
        let routes = setting.own.iter().map(|domain| format!("{domain},192.0.2.25,25")).collect();
        let mut documents = Documents::default();
        documents.set(DocumentName::OwnDomains, lines(setting.own.clone()));
        documents.set(DocumentName::RelayNetworks, lines(vec![format!("{INSIDE}/32")]));
        documents.set(DocumentName::Aliases, lines(aliases));
        documents.set(DocumentName::Routes, lines(routes));
        let accounts = setting.accounts.iter().map(|(login, password)| (login.as_str(), password.as_str()));
        let accounts: Vec<_> = accounts.collect();
        let (accounts, credentials) = hikyaku_testkit::accounts::documents(&accounts);
        let refused = setting.refused_senders.iter().map(|sender| format!("{sender} false")).collect();
        documents.set(DocumentName::Access, lines(refused));
        documents.set(DocumentName::Accounts, accounts);
        documents.set(DocumentName::Credentials, credentials);
        self.store.loaded_once().await;
        let version = self.store.rules().map_or(0, |rules| rules.version());
        let outcome = self.store.commit(version, &documents, Mode::Store, &Author::default()).await?;
        anyhow::ensure!(outcome.accepted, "{:?}", outcome.problems);
        anyhow::ensure!(
            self.store.wait_for_version(outcome.version, READ_LIMIT).await,
            "version is not in force"
        );
        Ok(())
    }

    /// The contents in the queue, in the order of acceptance, which are removed from it.
    async fn take_stored(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let browser = Browser::new(self.nats.clone(), self.shards);
        let bodies = BodyStore::new(self.nats.clone());
        let mut found = browser.list(&Selector::All, &Filter::default(), 1_000, None).await?.entries;
        found.sort_by_key(|found| found.envelope.accepted_at);
        let mut contents = Vec::new();
        for found in found {
            contents.push(bodies.load(&found.envelope.body).await?.concat());
        }
        browser.delete(&Selector::All, &Progress::default()).await?;
        Ok(contents)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transcript_comes_out_as_written() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dialogs");
    let world = World::start().await?;
    let (mut problems, mut played) = (Vec::new(), 0);
    for path in transcripts(&folder) {
        let name = path.strip_prefix(&folder)?.display().to_string();
        let dialog = Dialog::parse(&fs::read_to_string(&path)?).map_err(anyhow::Error::msg)?;
        played += 1;
        problems.extend(world.play(&dialog).await?.err().map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(played >= 45, "only {played} transcripts");
    Ok(())
}
