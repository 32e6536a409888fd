//! What a node examines of the directory.

use std::{net::IpAddr, time::Duration};

use hikyaku_doctor::facts::{Directory, OpenDomain, Remark};
use hikyaku_proto::policy::v1 as proto;
use hikyaku_types::{destination::Destination, domain::Domain};

use crate::{
    PolicyClient,
    ask::{Grpc, Question, Repeat},
    error::PolicyUnavailable,
    wire,
};

/// All lines are compared with each other for it.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub directory: Directory,
    /// With their next hops.
    pub own_domains: Vec<(Domain, Destination)>,
    /// Fixed next hops, each with the line that names it.
    pub next_hops: Vec<(String, Destination)>,
    pub own_addresses: Vec<IpAddr>,
}

impl PolicyClient {
    /// What is to be examined, with only this one of the own domains if one is given. Never from memory.
    pub async fn overview(&self, only: Option<&Domain>) -> Result<Overview, PolicyUnavailable> {
        let domain = only.map(ToString::to_string).unwrap_or_default();
        let text = proto::GetOverviewRequest { domain };
        let question = Question { method: "GetOverview", text, repeat: Repeat::Always, limit: TIMEOUT };
        let ask = |mut grpc: Grpc, question| async move { grpc.get_overview(question).await };
        read(question.ask(&self.inner.pods, ask).await?, only)
    }
}

/// `only`: the own domain that was asked for.
fn read(response: proto::GetOverviewResponse, only: Option<&Domain>) -> Result<Overview, PolicyUnavailable> {
    let own_domains = response.own_domains.into_iter().filter_map(|own| {
        let name = own.name.parse().ok()?;
        Some(wire::destination(&own.destination).map(|destination| (name, destination)))
    });
    let own_domains: Vec<(Domain, Destination)> = own_domains.collect::<Result<_, _>>()?;
    let next_hop = |hop: proto::NextHop| Ok((hop.place, wire::destination(&hop.destination)?));
    let next_hops: Result<Vec<_>, PolicyUnavailable> = response.next_hops.into_iter().map(next_hop).collect();
    let remark = |it: proto::Remark| Remark { place: it.place, code: it.code, reason: it.reason };
    let open =
        |it: proto::OpenDomain| OpenDomain { place: it.place, domain: it.domain, is_probed: it.probed };
    let not_own = only.filter(|only| !own_domains.iter().any(|(domain, _)| domain == *only));
    let directory = Directory {
        stored_version: response.stored_version,
        remarks: response.remarks.into_iter().map(remark).collect(),
        open_domains: response.open_domains.into_iter().map(open).collect(),
        not_own: not_own.map(ToString::to_string),
    };
    let own_addresses = response.own_addresses.iter().filter_map(|text| text.parse().ok()).collect();
    Ok(Overview { directory, own_domains, next_hops: next_hops?, own_addresses })
}
