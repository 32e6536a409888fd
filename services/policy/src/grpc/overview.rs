//! What a node examines -> wire.

use std::net::IpAddr;

use hikyaku_proto::policy::v1 as proto;
use hikyaku_types::{destination::Destination, domain::Domain};

use crate::{
    problem::Problem,
    rules::{
        decision::DecidedBy,
        overview::{OpenDomain, Overview},
    },
};

pub(super) fn response(overview: Overview, stored_version: u64) -> proto::GetOverviewResponse {
    let Overview { remarks, open_domains, own_domains, next_hops, own_addresses } = overview;
    proto::GetOverviewResponse {
        stored_version,
        remarks: remarks.into_iter().map(remark).collect(),
        open_domains: open_domains.into_iter().map(open_domain).collect(),
        own_domains: own_domains.into_iter().map(own_domain).collect(),
        next_hops: next_hops.into_iter().map(next_hop).collect(),
        own_addresses: own_addresses.iter().map(IpAddr::to_string).collect(),
    }
}

fn remark(problem: Problem) -> proto::Remark {
    let place = format!("{}:{}", problem.document, problem.line);
    proto::Remark { place, code: problem.code.to_owned(), reason: problem.reason }
}

fn open_domain(open: OpenDomain) -> proto::OpenDomain {
    let OpenDomain { line, domain, is_probed } = open;
    proto::OpenDomain { place: line.to_string(), domain: domain.to_string(), probed: is_probed }
}

fn own_domain((name, destination): (Domain, Destination)) -> proto::OwnDomain {
    proto::OwnDomain { name: name.to_string(), destination: destination.to_string() }
}

fn next_hop((line, destination): (DecidedBy, Destination)) -> proto::NextHop {
    proto::NextHop { place: line.to_string(), destination: destination.to_string() }
}
