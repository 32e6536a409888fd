//! A name server on the way to another one. What it is not told to forge it passes on.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use hickory_server::proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, MX, NS, SOA, TLSA},
    },
    serialize::binary::{BinDecodable as _, BinEncodable as _},
};
use tokio::{net::UdpSocket, task::JoinHandle};

const TTL: u32 = 60;
const MAX_DATAGRAM: usize = 4096;

/// What is said to one question, in the place of the truth.
#[derive(Debug, Clone)]
pub struct Lie {
    pub name: &'static str,
    pub kind: RecordType,
    pub is_nxdomain: bool,
    /// SERVFAIL.
    pub is_failure: bool,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

#[derive(Debug)]
pub struct Liar {
    pub address: SocketAddr,
    lies: Arc<Mutex<Vec<Lie>>>,
    task: JoinHandle<()>,
}

impl Lie {
    /// That there is nothing.
    pub fn nothing(name: &'static str, kind: &str) -> Self {
        let kind = kind.parse().expect("a kind of records");
        let (answers, authorities, additionals) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, kind, is_nxdomain: false, is_failure: false, answers, authorities, additionals }
    }
}

impl Liar {
    pub async fn before(server: SocketAddr, lies: Vec<Lie>) -> anyhow::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let (address, lies) = (socket.local_addr()?, Arc::new(Mutex::new(lies)));
        let told = Arc::clone(&lies);
        let task = tokio::spawn(async move {
            let mut buffer = [0; MAX_DATAGRAM];
            while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
                let question = buffer[..count].to_vec();
                let (socket, lies) = (Arc::clone(&socket), told.lock().unwrap().clone());
                tokio::spawn(async move {
                    if let Ok(answer) = answer(server, &question, &lies).await {
                        let _ = socket.send_to(&answer, from).await; // who asked may be gone
                    }
                });
            }
        });
        Ok(Self { address, lies, task })
    }

    /// From now on.
    pub fn says(&self, lies: Vec<Lie>) {
        *self.lies.lock().unwrap() = lies;
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(server: SocketAddr, question: &[u8], lies: &[Lie]) -> anyhow::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.send_to(question, server).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    let count = socket.recv(&mut buffer).await?;
    let mut message = Message::from_bytes(&buffer[..count])?;
    let lie = message.queries.first().and_then(|query| {
        let is_about = |lie: &&Lie| query.name() == &name(lie.name) && query.query_type() == lie.kind;
        lies.iter().find(is_about)
    });
    if let Some(lie) = lie.cloned() {
        message.metadata.response_code = match (lie.is_failure, lie.is_nxdomain) {
            (true, _) => ResponseCode::ServFail,
            (false, true) => ResponseCode::NXDomain,
            (false, false) => ResponseCode::NoError,
        };
        message.answers = lie.answers;
        message.authorities = lie.authorities;
        message.additionals = lie.additionals;
    }
    Ok(message.to_bytes()?)
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("a name")
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), TTL, data)
}

pub fn soa(owner: &str) -> Record {
    record(owner, RData::SOA(SOA::new(name("ns.root"), name("host.root"), 1, 3600, 600, 86_400, 300)))
}

pub fn ns(owner: &str) -> Record {
    record(owner, RData::NS(NS(name("ns.root"))))
}

pub fn mx(owner: &str, exchange: &str) -> Record {
    let exchange = if exchange == "." { Name::root() } else { name(exchange) };
    record(owner, RData::MX(MX::new(10, exchange)))
}

pub fn address(owner: &str, address: Ipv4Addr) -> Record {
    record(owner, RData::A(A(address)))
}

/// DANE-EE by a digest of the key.
pub fn tlsa(owner: &str, digest: [u8; 32]) -> Record {
    record(owner, RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), digest.to_vec())))
}
