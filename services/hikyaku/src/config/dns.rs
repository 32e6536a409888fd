//! Whom we ask for names.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use hikyaku_route::resolver::{Dnssec, ResolverSettings};
use hikyaku_types::domain::Domain;

use super::Problems;

const PORT: u16 = 53;

pub(super) fn check(
    servers: &[String],
    dnssec: Option<bool>,
    anchors: Option<PathBuf>,
    own_name: Domain,
    problems: &mut Problems,
) -> ResolverSettings {
    let servers = servers.iter().filter_map(|text| server(text, problems)).collect();
    let dnssec = match (dnssec, anchors) {
        (Some(false), Some(path)) => {
            problems.note("dnssec_anchors", path, "dnssec is off");
            Dnssec::Off
        }
        (Some(true) | None, Some(path)) => Dnssec::Anchors(path),
        (Some(true), None) => Dnssec::Root,
        (Some(false) | None, None) => Dnssec::Off,
    };
    ResolverSettings { servers, own_name, dnssec }
}

fn server(text: &str, problems: &mut Problems) -> Option<SocketAddr> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, PORT)),
        Err(_) => problems.parse("dns", text),
    }
}
