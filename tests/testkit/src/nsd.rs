//! A real nsd with signed zones, and the key that everything is proven by.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{eventually::eventually, peers::Skipped, port};

const NSD: &str = "/usr/sbin/nsd";
const KEYGEN: &str = "/usr/bin/ldns-keygen";
const SIGN: &str = "/usr/bin/ldns-signzone";
const STARTED_WITHIN: Duration = Duration::from_secs(20);

/// A zone below the root. What is in `records` is relative to its name.
#[derive(Debug, Clone, Copy)]
pub struct Zone<'a> {
    pub name: &'a str,
    pub records: &'a str,
    pub state: ZoneState<'a>,
}

#[derive(Debug, Clone, Copy)]
pub enum ZoneState<'a> {
    /// Its parent proves that it is not signed.
    Unsigned,
    Signed,
    /// Signed; then the one text was put in the place of the other.
    Forged {
        was: &'a str,
        is: &'a str,
    },
}

#[derive(Debug)]
pub struct Nsd {
    pub address: SocketAddr,
    /// DNSKEY of the root.
    pub anchors: PathBuf,
    _process: Child,
    _folder: TempDir,
}

impl Nsd {
    pub async fn start(zones: &[Zone<'_>]) -> anyhow::Result<Result<Self, Skipped>> {
        for program in [NSD, KEYGEN, SIGN] {
            if !Path::new(program).exists() {
                return Ok(Err(format!("no {program}; tests/get-peers installs it")));
            }
        }
        let folder = tempfile::tempdir()?;
        let place = folder.path();
        let mut root = "$ORIGIN .\n. IN NS ns.root.\nns.root. IN A 127.0.0.1\n".to_owned();
        let mut files = String::new();
        for (number, Zone { name, records, state }) in zones.iter().enumerate() {
            let file = place.join(format!("{number}.zone"));
            let text = format!("$ORIGIN {name}.\n@ IN NS ns.root.\n{records}\n");
            std::fs::write(&file, with_start(&text))?;
            root += &format!("{name}. IN NS ns.root.\n");
            let served = match state {
                ZoneState::Unsigned => file,
                ZoneState::Signed => signed(place, name, &file, &mut root).await?,
                ZoneState::Forged { was, is } => {
                    let served = signed(place, name, &file, &mut root).await?;
                    let text = std::fs::read_to_string(&served)?;
                    anyhow::ensure!(text.contains(was), "{name} does not have {was:?}");
                    std::fs::write(&served, text.replace(was, is))?;
                    served
                }
            };
            files += &format!("zone:\n name: \"{name}\"\n zonefile: \"{}\"\n", served.display());
        }
        let file = place.join("root.zone");
        std::fs::write(&file, with_start(&root))?;
        let served = signed(place, ".", &file, &mut String::new()).await?;
        files += &format!("zone:\n name: \".\"\n zonefile: \"{}\"\n", served.display());
        let anchors = find(place, "K.+", ".key")?;

        let port = port::unused()?.port();
        let configuration = place.join("nsd.conf");
        let folder_text = place.display();
        std::fs::write(
            &configuration,
            format!(
                "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n zonesdir: \"{folder_text}\"\n \
                 database: \"\"\n pidfile: \"{folder_text}/pid\"\n xfrdfile: \"{folder_text}/xfrd\"\n \
                 zonelistfile: \"{folder_text}/zones\"\n xfrdir: \"{folder_text}\"\n logfile: \"{folder_text}/log\"\n\
                 remote-control:\n control-enable: no\n{files}"
            ),
        )?;
        let process = Command::new(NSD)
            .arg("-d")
            .arg("-c")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("nsd")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        eventually(STARTED_WITHIN, async || match TcpStream::connect(address).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let log = std::fs::read_to_string(place.join("log")).unwrap_or_default();
                Err(format!("nsd: {error}: {log}"))
            }
        })
        .await;
        Ok(Ok(Self { address, anchors, _process: process, _folder: folder }))
    }
}

fn with_start(zone: &str) -> String {
    let (origin, rest) = zone.split_once('\n').unwrap_or((zone, ""));
    format!("{origin}\n$TTL 300\n@ IN SOA ns.root. host.root. 1 3600 600 86400 300\n{rest}")
}

/// The signed file; its parent is told by `parent`.
async fn signed(place: &Path, name: &str, file: &Path, parent: &mut String) -> anyhow::Result<PathBuf> {
    let key = run(place, Command::new(KEYGEN).args(["-a", "ECDSAP256SHA256", "-k", name])).await?;
    let key = key.trim();
    run(place, Command::new(SIGN).arg("-o").arg(name).arg(file).arg(key)).await?;
    *parent += &std::fs::read_to_string(place.join(format!("{key}.ds")))?;
    Ok(file.with_extension("zone.signed"))
}

async fn run(place: &Path, command: &mut Command) -> anyhow::Result<String> {
    let output = command.current_dir(place).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

fn find(place: &Path, prefix: &str, suffix: &str) -> anyhow::Result<PathBuf> {
    let names = std::fs::read_dir(place)?.filter_map(Result::ok).map(|entry| entry.path());
    let fits = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(prefix) && name.ends_with(suffix)
    };
    names.into_iter().find(fits).with_context(|| format!("{prefix}*{suffix} is missing"))
}
