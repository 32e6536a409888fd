//! A cluster that is well, and one fault after the other.

use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::facts::{
    Broker, Contact, Directory, DomainRecords, Lookup, MxHost, Node, OpenDomain, Outcome, Peer, Remark,
    Sender, Server, StreamFault,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// domain.jp goes to 192.168.0.20:25; the cluster is 198.51.100.11.
fn sound() -> Facts {
    let server = |name: &str| Server {
        name: name.to_owned(),
        version: "2.15.0".to_owned(),
        cluster: "mail".to_owned(),
        syncs: true,
        stored_bytes: 5,
        most_bytes: 100,
    };
    let node = |name: &str, version| Node {
        name: name.to_owned(),
        directory_version: version,
        listeners: vec![at("0.0.0.0:25"), at("0.0.0.0:587")],
    };
    Facts {
        examined_from: "gw-1".to_owned(),
        unheard: Vec::new(),
        broker: Broker { servers: ["n1", "n2", "n3"].map(server).into(), ..Broker::default() },
        nodes: vec![node("policy-1", Some(7)), node("policy-2", Some(7)), node("ingress-1", None)],
        directory: Some(Directory { stored_version: 7, ..Directory::default() }),
        own_addresses: vec![ip("198.51.100.11")],
        own_names: vec!["gw.example".to_owned()],
        peers: vec![peer("192.168.0.20:25", Outcome::Said("220 mail.domain.jp ESMTP".to_owned()))],
        domains: vec![DomainRecords {
            domain: "domain.jp".to_owned(),
            mx: Lookup::Found(vec![mx("gw.example", "198.51.100.11")]),
            spf: Lookup::Found(vec!["v=spf1 mx -all".to_owned()]),
            addresses: Vec::new(),
            inner: vec![ip("192.168.0.20")],
        }],
        senders: vec![Sender {
            address: ip("198.51.100.11"),
            name: Lookup::Found(("gw.example".to_owned(), true)),
        }],
    }
}

fn mx(name: &str, address: &str) -> MxHost {
    MxHost { name: name.to_owned(), addresses: Lookup::Found(vec![ip(address)]) }
}

fn peer(address: &str, outcome: Outcome) -> Peer {
    Peer {
        seen_from: "gw-1".to_owned(),
        place: "routes:1".to_owned(),
        name: address.to_owned(),
        contacts: Lookup::Found(vec![Contact { address: at(address), outcome, greets_on_25: false }]),
    }
}

fn remark(code: &str, place: &str) -> Remark {
    Remark { place: place.to_owned(), code: code.to_owned(), reason: "because".to_owned() }
}

fn said(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = sound();
    change(&mut facts);
    examine(&facts).iter().map(ToString::to_string).collect()
}

fn directory(facts: &mut Facts) -> &mut Directory {
    facts.directory.as_mut().unwrap()
}

fn of_peer(peer: Peer) -> Vec<String> {
    said(|facts| facts.peers = vec![peer])
}

#[test]
fn seed_222_a_sound_cluster_has_no_findings() {
    assert_eq!(said(|_| {}), Vec::<String>::new());
    // A version that nobody stored yet, behind which nobody is.
    assert_eq!(said(|facts| directory(facts).stored_version = 6), Vec::<String>::new());
    let notes = ["W-DUP", "N-GW-PORT25", "W-PM-HOSTBITS", "W-SND-SHADOW"];
    assert_eq!(
        said(|facts| directory(facts).remarks = notes.map(|code| remark(code, "routes:1")).into()),
        Vec::<String>::new()
    );
}

#[test]
fn seed_222_each_fault_of_the_storage_has_its_finding() {
    let stream =
        |fault| move |facts: &mut Facts| facts.broker.streams = vec![("HIKYAKU_QUEUE_3".to_owned(), fault)];
    assert_eq!(
        said(|facts| facts.broker.servers[1].syncs = false),
        ["FAIL D-BROKER-SYNC n2: does not sync each write"]
    );
    assert_eq!(
        said(|facts| facts.broker.servers.clear()),
        ["FAIL D-BROKER-SILENT NATS: no server told its settings"]
    );
    assert_eq!(
        said(|facts| facts.broker.servers[2].cluster = "test".to_owned()),
        ["FAIL D-BROKER-APART NATS: n1 \"mail\", n2 \"mail\", n3 \"test\""]
    );
    assert_eq!(
        said(|facts| facts.broker.servers[0].version = "2.14.1".to_owned()),
        ["WARN D-BROKER-VERSIONS NATS: n1 \"2.14.1\", n2 \"2.15.0\", n3 \"2.15.0\""]
    );
    assert_eq!(
        said(|facts| facts.broker.servers[0].stored_bytes = 91),
        ["WARN D-BROKER-FULL n1: 91 of 100 bytes are stored"]
    );
    assert_eq!(said(stream(StreamFault::Missing)), ["FAIL D-STREAM-MISSING HIKYAKU_QUEUE_3: is not there"]);
    assert_eq!(
        said(stream(StreamFault::Unsafe("memory storage"))),
        ["FAIL D-STREAM-UNSAFE HIKYAKU_QUEUE_3: has memory storage"]
    );
    assert_eq!(said(stream(StreamFault::Silent)), ["FAIL D-STREAM-SILENT HIKYAKU_QUEUE_3: gives no answer"]);
    assert_eq!(
        said(stream(StreamFault::Behind(vec!["n2".to_owned()]))),
        ["WARN D-STREAM-BEHIND HIKYAKU_QUEUE_3: copies that are not up to date: n2"]
    );
    assert_eq!(
        said(|facts| facts.broker.write_failure = Some("no space left".to_owned())),
        ["FAIL D-STORE-WRITE JetStream: no space left"]
    );
}

#[test]
fn seed_222_each_fault_of_the_directory_has_its_finding() {
    assert_eq!(said(|facts| facts.directory = None), ["FAIL D-POLICY-SILENT policy: gives no answer"]);
    assert_eq!(
        said(|facts| directory(facts).stored_version = 8),
        [
            "FAIL D-VERSION-BEHIND policy-1: answers from version 7 of the directory; 8 is stored",
            "FAIL D-VERSION-BEHIND policy-2: answers from version 7 of the directory; 8 is stored",
        ]
    );
    for (code, finding) in [
        ("W-OD-NORCPT", "WARN D-NO-RECIPIENTS own-domains:2: because"),
        ("W-OD-NOROUTE", "WARN D-NO-ROUTE own-domains:2: because"),
        ("W-LOOPRISK", "WARN D-SMART-HOST own-domains:2: because"),
        ("W-GW-SHADOW", "WARN D-ROUTE-HIDDEN own-domains:2: because"),
        ("W-EFF-PUBLIC", "WARN D-ACCESS own-domains:2: because"),
        ("W-EFF-SHADOW", "WARN D-ACCESS own-domains:2: because"),
        ("W-PM-SHADOW", "WARN D-ACCESS own-domains:2: because"),
        ("W-AC-FOREIGN", "WARN D-UNHEARD own-domains:2: because"),
    ] {
        assert_eq!(said(|facts| directory(facts).remarks = vec![remark(code, "own-domains:2")]), [finding]);
    }
    let open =
        |is_probed| OpenDomain { place: "aliases:4".to_owned(), domain: "domain.jp".to_owned(), is_probed };
    assert_eq!(
        said(|facts| directory(facts).open_domains = vec![open(false)]),
        ["WARN D-MODE-A aliases:4: every address of domain.jp is accepted, and nobody checks them"]
    );
    assert_eq!(said(|facts| directory(facts).open_domains = vec![open(true)]), Vec::<String>::new());
    assert_eq!(
        said(|facts| directory(facts).not_own = Some("z.example".to_owned())),
        ["FAIL D-NOT-OWN z.example: is not an own domain"]
    );
}

/// Inner sends to 20025, the gateway listens on 25 only.
#[test]
fn seed_229_a_peer_that_refuses_is_named_with_its_port() {
    let refused = |address: &str| peer(address, Outcome::Refused);
    assert_eq!(
        of_peer(refused("192.168.0.100:20025")),
        ["FAIL D-PEER-REFUSED routes:1: peer 192.168.0.100:20025 refused (tried from gw-1)"]
    );
    let mut other = refused("192.168.0.100:20025");
    other.name = "gw.inner.example:20025".to_owned();
    if let Lookup::Found(contacts) = &mut other.contacts {
        contacts[0].greets_on_25 = true;
    }
    assert_eq!(
        of_peer(other),
        ["FAIL D-PEER-REFUSED routes:1: peer gw.inner.example:20025 at 192.168.0.100:20025 refused; \
          192.168.0.100:25 answers (tried from gw-1)"]
    );
    assert_eq!(
        of_peer(refused("198.51.100.11:20025")),
        [
            "FAIL D-PEER-REFUSED routes:1: peer 198.51.100.11:20025 refused; this cluster has that address and \
          listens on 25, 587 (tried from gw-1)"
        ]
    );
}

/// A firewall may stop one node and let another through.
#[test]
fn seed_222_what_each_node_sees_is_told_with_its_name() {
    let from = |node: &str, outcome| Peer { seen_from: node.to_owned(), ..peer("192.168.0.20:25", outcome) };
    let greeting = || Outcome::Said("220 mail.domain.jp ESMTP".to_owned());
    let peers = |peers: Vec<Peer>| said(move |facts| facts.peers = peers);
    assert_eq!(
        peers(vec![from("gw-1", Outcome::Refused), from("gw-2", greeting()), from("gw-3", Outcome::Refused)]),
        ["FAIL D-PEER-REFUSED routes:1: peer 192.168.0.20:25 refused (tried from gw-1, gw-3)"]
    );
    assert_eq!(
        said(|facts| facts.unheard = vec!["gw-2".to_owned()]),
        ["WARN D-NODE-SILENT gw-2: does not tell what it sees"]
    );
}

#[test]
fn seed_222_each_fault_of_a_peer_has_its_finding() {
    let says = |greeting: &str| of_peer(peer("192.168.0.20:25", Outcome::Said(greeting.to_owned())));
    assert_eq!(
        says("220 GW.example ESMTP"),
        [
            "FAIL D-LOOP routes:1: peer 192.168.0.20:25 is this relay: it greets \"220 GW.example ESMTP\" (tried \
          from gw-1)"
        ]
    );
    assert_eq!(says("220 gw.example.org ESMTP"), Vec::<String>::new());
    assert_eq!(
        says("421 4.3.2 busy"),
        ["WARN D-PEER-GREETING routes:1: peer 192.168.0.20:25 greets \"421 4.3.2 busy\" (tried from gw-1)"]
    );
    let silent = Outcome::Silent("no greeting within 5 s".to_owned());
    assert_eq!(
        of_peer(peer("192.168.0.20:25", silent)),
        ["FAIL D-PEER-SILENT routes:1: peer 192.168.0.20:25: no greeting within 5 s (tried from gw-1)"]
    );
    let named = |contacts| Peer {
        seen_from: "gw-1".to_owned(),
        place: "routes:1".to_owned(),
        name: "m.jp:25".to_owned(),
        contacts,
    };
    assert_eq!(
        of_peer(named(Lookup::None)),
        ["FAIL D-PEER-NAME routes:1: peer m.jp:25 has no address (tried from gw-1)"]
    );
    assert_eq!(
        of_peer(named(Lookup::Failed("SERVFAIL".to_owned()))),
        ["WARN D-DNS-SILENT routes:1: peer m.jp:25: SERVFAIL (tried from gw-1)"]
    );
}

#[test]
fn seed_003_mx_records_must_lead_here_and_to_nobody_behind() {
    let with = |hosts: Vec<MxHost>| said(move |facts| facts.domains[0].mx = Lookup::Found(hosts));
    assert_eq!(
        with(vec![mx("old.example", "203.0.113.7")]),
        [
            "FAIL D-MX-NOT-OURS domain.jp: MX old.example lead to none of 198.51.100.11",
            "WARN D-SPF-NOT-OURS domain.jp: \"v=spf1 mx -all\" does not allow 198.51.100.11"
        ]
    );
    assert_eq!(
        with(vec![mx("gw.example", "198.51.100.11"), mx("spare.example", "203.0.113.7")]),
        Vec::<String>::new()
    );
    assert_eq!(
        with(vec![mx("gw.example", "198.51.100.11"), mx("mail.domain.jp", "192.168.0.20")]),
        ["FAIL D-MX-INNER domain.jp: MX mail.domain.jp is the inner server, 192.168.0.20"]
    );
    // The inner server on the relay's own machine.
    let shared = said(|facts| facts.domains[0].inner = vec![ip("198.51.100.11")]);
    assert_eq!(shared, Vec::<String>::new());
    let dead = MxHost { name: "dead.example".to_owned(), addresses: Lookup::None };
    assert_eq!(
        with(vec![mx("gw.example", "198.51.100.11"), dead]),
        ["WARN D-MX-DEAD domain.jp: MX dead.example has no address"]
    );
    // Who may be among those that were not seen is not accused of being away.
    let unseen = MxHost { name: "far.example".to_owned(), addresses: Lookup::Failed("SERVFAIL".to_owned()) };
    assert_eq!(
        said(|facts| {
            facts.domains[0].mx = Lookup::Found(vec![unseen]);
            facts.domains[0].spf = Lookup::Found(vec!["v=spf1 ip4:198.51.100.0/24 -all".to_owned()]);
        }),
        ["WARN D-DNS-SILENT domain.jp: MX far.example: SERVFAIL"]
    );
    assert_eq!(
        said(|facts| {
            facts.domains[0].mx = Lookup::None;
            facts.domains[0].spf = Lookup::None;
        }),
        ["FAIL D-MX-NONE domain.jp: no MX record and no address"]
    );
    let null = with(vec![MxHost { name: String::new(), addresses: Lookup::None }]);
    assert_eq!(null[0], "FAIL D-MX-NONE domain.jp: the null MX: it takes no mail");
    assert_eq!(
        said(|facts| facts.own_addresses.clear()),
        ["WARN D-ADDRESSES-UNKNOWN cluster: no address is known of gw.example"]
    );
}

#[test]
fn seed_222_each_fault_of_spf_and_reverse_dns_has_its_finding() {
    let spf = |records: &[&str]| {
        let records: Vec<String> = records.iter().map(|&record| record.to_owned()).collect();
        said(move |facts| facts.domains[0].spf = Lookup::Found(records))
    };
    assert_eq!(spf(&[]), ["WARN D-SPF-NONE domain.jp: no SPF record"]);
    assert_eq!(spf(&["v=spf1 mx", "v=spf1 a"]), ["WARN D-SPF-MANY domain.jp: 2 SPF records"]);
    assert_eq!(spf(&["v=spf1 +all"]), ["WARN D-SPF-ALL domain.jp: \"v=spf1 +all\" allows everybody"]);
    assert_eq!(
        spf(&["v=spf1 ip4:203.0.113.0/24 -all"]),
        ["WARN D-SPF-NOT-OURS domain.jp: \"v=spf1 ip4:203.0.113.0/24 -all\" does not allow 198.51.100.11"]
    );
    assert_eq!(spf(&["v=spf1 include:_spf.example -all"]), Vec::<String>::new());
    let reverse = |name| said(move |facts| facts.senders[0].name = name);
    assert_eq!(reverse(Lookup::None), ["WARN D-REVERSE-DNS 198.51.100.11: has no reverse name"]);
    assert_eq!(
        reverse(Lookup::Found(("pool-11.isp.example".to_owned(), false))),
        ["WARN D-REVERSE-DNS 198.51.100.11: its name pool-11.isp.example does not lead back to it"]
    );
}

#[test]
fn seed_003_an_inner_server_that_greets_strangers() {
    let own = [ip("198.51.100.11")];
    let probe = |from: &str, greeting| {
        let finding = inner_probe(at("192.168.0.20:25"), ip(from), &own, greeting);
        finding.map(|finding| finding.to_string())
    };
    assert_eq!(
        probe("203.0.113.9", "220 mail.domain.jp ESMTP").unwrap(),
        "WARN D-INNER-OPEN 192.168.0.20:25: greets 203.0.113.9, which is not an address of this cluster"
    );
    assert_eq!(probe("203.0.113.9", "554 5.7.1 not you"), None);
    assert_eq!(probe("198.51.100.11", "220 mail.domain.jp ESMTP"), None);
}

#[test]
fn the_worst_comes_first() {
    let found = said(|facts| {
        facts.domains[0].spf = Lookup::Found(Vec::new());
        facts.broker.servers[0].syncs = false;
        directory(facts).remarks = vec![remark("W-LOOPRISK", "smart-host:1")];
    });
    let codes: Vec<&str> = found.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(codes, ["D-BROKER-SYNC", "D-SMART-HOST", "D-SPF-NONE"]);
}
