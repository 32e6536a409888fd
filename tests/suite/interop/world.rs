//! Two relays of ours. Clients hand mail in at the receiving one, which passes it to a sink; the sending one
//! has the gateways of others, and the receiving one, as its next hops.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use hikyaku_testkit::{
    certificates::{Authority, Names, PairFiles},
    gateways::{Doors, Gateway, Surroundings},
    mx::{Script, ScriptedMx},
    peers::Skipped,
    relay::Relay,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::letter::Contents;
use crate::lab::{Lab, in_force, set_accounts, set_traffic};

pub const USER: &str = "user1@own.test";
pub const SECRET: &str = "correct-horse-battery";
/// Of the receiving relay; the gateways have those behind it. 465 is a port that only one may have.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 130);
const WAYS: [&str; 4] = ["plain", "starttls", "auth", "implicit"];

pub struct World {
    pub contents: Contents,
    pub sink: ScriptedMx,
    _receiving: Relay,
    pub sending: Relay,
    /// Of the receiving relay.
    pub doors: Doors,
    pub gateways: Vec<(&'static str, Result<Gateway, Skipped>)>,
    pub trusted: PathBuf,
    /// They own the folders of the relays.
    _labs: [Lab; 2],
    _folder: TempDir,
}

impl World {
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in("/var/tmp")?;
        let path = folder.path();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let authority = Authority::new("of all of them")?;
        let trusted = path.join("trusted.pem");
        authority.write(&trusted)?;
        let sink = ScriptedMx::start(Script::Accept).await?;

        let mut lab = Lab::new().await?;
        lab.own_domain("own.test", &sink);
        for way in WAYS {
            lab.own_domain(&format!("{way}.test"), &sink);
            lab.own_domain(&format!("{way}.hikyaku.test"), &sink);
        }
        let pair = pair(&authority, path, &["gw.test", &FIRST.to_string(), "127.0.0.1"])?;
        lab.configure(&format!(
            "submission = [\"127.0.0.1:0\"]\nsubmissions = [\"{FIRST}:465\"]\n\
             [tls]\ncertificate = {:?}\nkey = {:?}\n",
            pair.certificate, pair.key
        ))?;
        let receiving = lab.up().await?;
        receiving.wait_for_service("submissions").await;
        set_accounts(&receiving, &[(USER, SECRET)]).await?;
        let doors = Doors {
            plain: receiving.smtp(),
            starttls: receiving.smtp(),
            auth: receiving.address("submission")?,
            implicit: receiving.address("submissions")?,
        };
        let around = Surroundings {
            relay: doors,
            relay_name: "gw.test",
            sink: sink.address(),
            trusted: trusted.clone(),
            user: USER,
            secret: SECRET,
        };
        let gateways = gateways(&authority, path, &around)?;
        let (sending_lab, sending) = sending(&gateways, doors, &trusted, path).await?;
        let contents = Contents::new(path)?;
        let labs = [lab, sending_lab];
        Ok(Self {
            contents,
            sink,
            _receiving: receiving,
            sending,
            doors,
            gateways,
            trusted,
            _labs: labs,
            _folder: folder,
        })
    }
}

fn pair(authority: &Authority, folder: &std::path::Path, names: &[&str]) -> anyhow::Result<PairFiles> {
    authority.issue(&Names { common: names[0], dns: names, uris: &[] })?.write(folder, names[0])
}

type Gateways = Vec<(&'static str, Result<Gateway, Skipped>)>;

fn gateways(
    authority: &Authority,
    folder: &std::path::Path,
    around: &Surroundings,
) -> anyhow::Result<Gateways> {
    type Start = fn(Doors, &PairFiles, &Surroundings) -> anyhow::Result<Result<Gateway, Skipped>>;
    let starts: [(&str, Start); 4] = [
        ("Postfix", Gateway::postfix),
        ("Exim", Gateway::exim),
        ("OpenSMTPD", Gateway::opensmtpd),
        ("aiosmtpd", Gateway::aiosmtpd),
    ];
    let mut gateways = Vec::new();
    for (number, (name, start)) in (1..).zip(starts) {
        let address = IpAddr::from(Ipv4Addr::from_bits(FIRST.to_bits() + number));
        let pair = pair(authority, folder, &[&address.to_string()])?;
        gateways.push((name, start(Doors::at(address)?, &pair, around)?));
    }
    Ok(gateways)
}

/// By the domain `WAY.NAME.test` its mail takes the way to the gateway of that name.
async fn sending(
    gateways: &Gateways,
    own: Doors,
    trusted: &std::path::Path,
    folder: &std::path::Path,
) -> anyhow::Result<(Lab, Relay)> {
    let mut lab = Lab::named("sending.test").await?;
    let mut rules = String::new();
    let mut last = String::new();
    // A next hop has one rule, so the plain way to our own needs a name of its own.
    let there = gateways.iter().filter_map(|(name, gateway)| Some((*name, gateway.as_ref().ok()?.doors())));
    for (name, doors) in there.chain([("Hikyaku", own)]) {
        for (way, address) in doors.by_name() {
            let domain = format!("{way}.{}.test", name.to_lowercase());
            let by_name = name == "Hikyaku" && way == "plain";
            let destination = if by_name {
                lab.own_domain_by_name(&domain, "plain.gw.test", address);
                format!("[plain.gw.test]:{}", address.port())
            } else {
                lab.own_domain_at(&domain, address);
                format!("[{}]:{}", address.ip(), address.port())
            };
            let says = match way {
                "plain" => "tls=off",
                "auth" => "login=smart",
                "implicit" if name == "Hikyaku" => "login=smart",
                _ => "tls=verified",
            };
            rules += &format!("destination {destination} {says}\n");
            last = destination;
        }
    }
    let secret = folder.join("secret");
    std::fs::write(&secret, SECRET)?;
    lab.configure(&format!(
        "[delivery.tls]\nca = {trusted:?}\n\
         [delivery.logins.smart]\nuser = {USER:?}\npassword_file = {secret:?}\nmechanism = \"plain\"\n"
    ))?;
    let relay = lab.up().await?;
    set_traffic(&relay, &rules).await?;
    in_force(&relay, &last, "login smart traffic:").await;
    Ok((lab, relay))
}

/// Whether the server's answer to EHLO has this word.
pub async fn offers(address: SocketAddr, word: &str) -> Result<bool, String> {
    let answer = async {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        stream.write_all(b"EHLO client.test\r\n").await?;
        let mut said = String::new();
        while stream.read_line(&mut said).await? > 0 {
            if said.lines().any(|line| line.as_bytes().get(3) == Some(&b' ')) {
                break;
            }
        }
        std::io::Result::Ok(said.contains(word))
    };
    answer.await.map_err(|error| error.to_string())
}
