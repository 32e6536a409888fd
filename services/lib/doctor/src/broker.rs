//! Brokers and streams.

use std::collections::BTreeSet;

use crate::{
    code::Code,
    facts::{Broker, Server, StreamFault},
    finding::Finding,
};

pub(crate) fn examine(broker: &Broker) -> Vec<Finding> {
    let mut findings = servers(&broker.servers);
    findings.extend(broker.streams.iter().map(|(stream, fault)| of_stream(stream, fault)));
    if let Some(reason) = &broker.write_failure {
        findings.push(Finding::new(Code::StoreWrite, "JetStream", reason));
    }
    findings
}

fn servers(servers: &[Server]) -> Vec<Finding> {
    if servers.is_empty() {
        return vec![Finding::new(Code::BrokerSilent, "NATS", "no server told its settings")];
    }
    let mut findings = Vec::new();
    for server in servers {
        if !server.syncs {
            let what = "does not sync each write";
            findings.push(Finding::new(Code::BrokerSync, &server.name, what));
        }
        if server.most_bytes > 0 && server.stored_bytes > server.most_bytes / 10 * 9 {
            let what = format!("{} of {} bytes are stored", server.stored_bytes, server.most_bytes);
            findings.push(Finding::new(Code::BrokerFull, &server.name, what));
        }
    }
    let clusters: BTreeSet<&str> = servers.iter().map(|server| server.cluster.as_str()).collect();
    if clusters.len() > 1 {
        findings.push(Finding::new(Code::BrokerApart, "NATS", listed(servers, |it| &it.cluster)));
    }
    let versions: BTreeSet<&str> = servers.iter().map(|server| server.version.as_str()).collect();
    if versions.len() > 1 {
        findings.push(Finding::new(Code::BrokerVersions, "NATS", listed(servers, |it| &it.version)));
    }
    findings
}

fn listed(servers: &[Server], what: impl Fn(&Server) -> &String) -> String {
    let each: Vec<String> =
        servers.iter().map(|server| format!("{} {:?}", server.name, what(server))).collect();
    each.join(", ")
}

fn of_stream(stream: &str, fault: &StreamFault) -> Finding {
    match fault {
        StreamFault::Missing => Finding::new(Code::StreamMissing, stream, "is not there"),
        StreamFault::Unsafe(why) => Finding::new(Code::StreamUnsafe, stream, format!("has {why}")),
        StreamFault::Silent => Finding::new(Code::StreamSilent, stream, "gives no answer"),
        StreamFault::Behind(servers) => {
            let what = format!("copies that are not up to date: {}", servers.join(", "));
            Finding::new(Code::StreamBehind, stream, what)
        }
    }
}
