//! A DNS server whose records tests write and change.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{
            Name, RData, Record, RecordType,
            rdata::{A, AAAA, MX, PTR, TXT},
        },
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::{TcpListener, UdpSocket};

const TTL: u32 = 60;
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default)]
struct Zone(Arc<Mutex<HashMap<String, Answers>>>);

#[derive(Debug, Clone, Default)]
struct Answers {
    mx: Vec<(u16, String)>,
    addresses: Vec<IpAddr>,
    texts: Vec<String>,
    names: Vec<String>,
    fails: bool,
}

pub struct DnsServer {
    _server: Server<Zone>,
    zone: Zone,
    address: SocketAddr,
}

impl DnsServer {
    pub async fn start() -> anyhow::Result<Self> {
        let zone = Zone::default();
        let mut server = Server::new(zone.clone());
        let (udp, tcp) = bind_both().await?;
        let address = udp.local_addr()?;
        server.register_socket(udp);
        server.register_listener(tcp, TCP_TIMEOUT, 4096);
        Ok(Self { _server: server, zone, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// "." is the null MX.
    pub fn mx(&self, domain: &str, preference: u16, exchange: &str) {
        self.zone.change(domain, |answers| answers.mx.push((preference, exchange.to_owned())));
    }

    pub fn address_of(&self, host: &str, address: IpAddr) {
        self.zone.change(host, |answers| answers.addresses.push(address));
    }

    pub fn text(&self, name: &str, text: &str) {
        self.zone.change(name, |answers| answers.texts.push(text.to_owned()));
    }

    /// The reverse name of an address.
    pub fn name_of(&self, address: Ipv4Addr, name: &str) {
        let [a, b, c, d] = address.octets();
        let reverse = format!("{d}.{c}.{b}.{a}.in-addr.arpa");
        self.zone.change(&reverse, |answers| answers.names.push(name.to_owned()));
    }

    /// Forgets everything about this name.
    pub fn remove(&self, name: &str) {
        self.zone.0.lock().unwrap().remove(&name.to_ascii_lowercase());
    }

    /// SERVFAIL for everything about this name.
    pub fn fails(&self, name: &str) {
        self.zone.change(name, |answers| answers.fails = true);
    }
}

/// A port that is free for both.
async fn bind_both() -> anyhow::Result<(UdpSocket, TcpListener)> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Zone {
    fn change(&self, name: &str, change: impl FnOnce(&mut Answers)) {
        let mut zone = self.0.lock().unwrap();
        change(zone.entry(name.to_ascii_lowercase()).or_default());
    }

    fn records(&self, name: &Name, kind: RecordType) -> Result<Vec<Record>, ResponseCode> {
        let text = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let zone = self.0.lock().unwrap();
        let answers = zone.get(&text).ok_or(ResponseCode::NXDomain)?;
        if answers.fails {
            return Err(ResponseCode::ServFail);
        }
        let data: Vec<RData> = match kind {
            RecordType::MX => {
                let name = |exchange: &str| Name::from_ascii(format!("{}.", exchange.trim_end_matches('.')));
                let mx = answers.mx.iter().filter_map(|(preference, exchange)| {
                    Some(RData::MX(MX::new(*preference, name(exchange).ok()?)))
                });
                mx.collect()
            }
            RecordType::A => answers
                .addresses
                .iter()
                .filter_map(|address| match address {
                    IpAddr::V4(v4) => Some(RData::A(A(*v4))),
                    IpAddr::V6(_) => None,
                })
                .collect(),
            RecordType::AAAA => answers
                .addresses
                .iter()
                .filter_map(|address| match address {
                    IpAddr::V6(v6) => Some(RData::AAAA(AAAA(*v6))),
                    IpAddr::V4(_) => None,
                })
                .collect(),
            RecordType::PTR => {
                let names = answers.names.iter().filter_map(|name| Name::from_ascii(format!("{name}.")).ok());
                names.map(|name| RData::PTR(PTR(name))).collect()
            }
            RecordType::TXT => {
                answers.texts.iter().map(|text| RData::TXT(TXT::new(vec![text.clone()]))).collect()
            }
            _ => Vec::new(),
        };
        Ok(data.into_iter().map(|data| Record::from_rdata(name.clone(), TTL, data)).collect())
    }
}

#[async_trait::async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        let answers = match request.request_info() {
            Ok(info) => self.records(&Name::from(info.query.name()), info.query.query_type()),
            Err(_) => Err(ResponseCode::FormErr),
        };
        let records = answers.unwrap_or_else(|code| {
            metadata.response_code = code;
            Vec::new()
        });
        let builder = MessageResponseBuilder::from_message_request(request);
        let response = builder.build(metadata, records.iter(), [], [], []);
        match response_handle.send_response(response).await {
            Ok(info) => info,
            Err(_) => Header { metadata, counts: HeaderCounts::default() }.into(),
        }
    }
}
